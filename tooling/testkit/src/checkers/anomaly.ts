/** One thing a checker found wrong. */
export interface Anomaly<Kind extends string = string> {
  kind: Kind;
  /** What is wrong, for people. */
  text: string;
}
