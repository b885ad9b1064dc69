// How a program is set up: for command lines, workers and servers.
export { defineConfig, SETTINGS } from "./define-config.ts";
export type { Config } from "./define-config.ts";
export { databaseOptionsOf, loadConfig } from "./load-config.ts";
export type { LoadConfigOptions, LoadedConfig, Setting, SettingSource } from "./load-config.ts";
export { folderOf, openOrReach, serveBeside } from "./owner.ts";
export type { ReachOptions, ServeBesideOptions } from "./owner.ts";
export { requireNode } from "./require-node.ts";
export { loadDefinitions } from "./load-definitions.ts";
