export { createProgram } from "./program.ts";
export type { CliErrorCode } from "./cli-error.ts";
