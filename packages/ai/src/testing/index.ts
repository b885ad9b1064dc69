// models of tests
export { scripted } from "./scripted.ts";
export type { Line, Script, ScriptedModel } from "./scripted.ts";
export { record, replayed } from "./recording.ts";
export type { RecordOptions } from "./recording.ts";
