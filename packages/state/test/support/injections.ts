/** Texts that would do harm if they were ever part of a statement, a record id or a path. */
export const INJECTIONS = [
  "'; DELETE canary; --",
  '"; REMOVE TABLE canary; "',
  "` ; DELETE canary",
  "⟩; DELETE canary; ⟨",
  "run:⟨x⟩ OR true",
  "$auth",
  "type::thing('canary', 1)",
  "../../etc/passwd",
  "__proto__",
  "a\u0000b",
  "a\nb",
  "[31mred",
  "日本語 🎉",
  "%_*.?",
] as const;
