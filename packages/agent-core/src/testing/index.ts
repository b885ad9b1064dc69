// For tests of agents and workflows; any test runner will do.
export { atEveryCrash, createTestSentient } from "./test-sentient.ts";
export type { Played, TestOptions, TestSentient } from "./test-sentient.ts";
export { VirtualClock } from "./virtual-clock.ts";
export type { Effect } from "./attempts.ts";
export type { Crash, CrashOptions } from "./crashes.ts";
export type { Script, Scripted } from "./script.ts";
