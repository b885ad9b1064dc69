export { createApp } from "./app.ts";
export type { App } from "./app.ts";
export type { AppOptions, RequestLogger } from "./options.ts";
export type { Policy, Principal } from "./access.ts";
export type { Listed, Method } from "./route.ts";

// when it goes wrong
export { ApiError } from "./errors.ts";
export type { ApiErrorCode } from "./errors.ts";
export { problemOf, STATUS } from "./problems.ts";
export type { Problem } from "./problems.ts";

// serving it
export { serveApi } from "./server.ts";
export type { ServedApi, ServeOptions } from "./server.ts";
export { configFromEnv } from "./config.ts";
export type { ApiConfig } from "./config.ts";
export { ensureFirstToken } from "./first-token.ts";
export { createLogger } from "./log.ts";
