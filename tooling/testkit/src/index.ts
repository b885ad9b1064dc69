// time
export { VirtualClock } from "./clock.ts";
export { until, type UntilOptions } from "./until.ts";

// processes
export { Child, type ChildExit, type ChildOptions, type Message, spawnChild } from "./child.ts";
export { freePort, ServedEngine, servedEngine, type ServedEngineOptions } from "./served-engine.ts";

// databases
export { chooseDatabase, type Credentials, freshNames, type Served, type TestDatabase } from "./database.ts";

// faults
export { sabotage, seeded, type SeededRandom } from "./faults.ts";
export type { Direction } from "./tcp-lane.ts";
export { TcpProxy, tcpProxy, type TcpTarget } from "./tcp-proxy.ts";

// what happened
export { type Effect, EffectLedger, type Ledger, type LedgerOptions } from "./effect-ledger.ts";
export { type Action, type Call, History, type Operation, type Outcome } from "./checkers/history.ts";

// whether it was right
export type { Anomaly } from "./checkers/anomaly.ts";
export { type Append, type AppendAnomaly, checkAppends } from "./checkers/appends.ts";
export { checkLinearizable, type Linearizability } from "./checkers/linearizable.ts";
export {
  type CounterAction,
  counterModel,
  type Model,
  type RegisterAction,
  registerModel,
} from "./checkers/models.ts";
export {
  checkVersionChain,
  type VersionAnomaly,
  type VersionedRead,
  type VersionedWrite,
} from "./checkers/version-chain.ts";

// how fast it was
export { type BenchRow, type Measure, measure, median, percentile, report } from "./bench.ts";
