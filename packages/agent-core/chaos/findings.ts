/** What must not be, whatever fails. */
export type Wrong = "lost" | "doubled" | "reordered" | "stuck";

export interface Finding {
  wrong: Wrong;
  text: string;
}
