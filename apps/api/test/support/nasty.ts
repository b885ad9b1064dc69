import type { SeededRandom } from "@sentient/testkit";

/** Texts that have broken something somewhere. */
export const TEXTS: readonly string[] = [
  "",
  " ",
  "'",
  '"',
  "`",
  "\\",
  "\0",
  "a\0b",
  "\u001b[31mred",
  "\r\nX-Injected: 1",
  "../../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "%00",
  "%",
  "%ff",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "$where",
  "${7*7}",
  "{{7*7}}",
  "<script>alert(1)</script>",
  "'; DELETE run; --",
  "' OR true --",
  "x' OR 1=1; REMOVE TABLE canary; --",
  "run:1; DELETE canary",
  "⟨x⟩; DELETE canary",
  "`x`; DELETE canary",
  "} DELETE canary; {",
  "$token",
  "type::record('canary', 1)",
  "NONE",
  "NULL",
  "null",
  "undefined",
  "NaN",
  "Infinity",
  "-1",
  "0",
  "1e309",
  "99999999999999999999999999",
  "9007199254740993",
  "\ud800",
  "\u2028",
  "ﷺ".repeat(50),
  "a".repeat(129),
  "a".repeat(5_000),
  "(a+)+$",
  "😀",
  "no-run",
  "hello",
  "event:1",
  "default",
];

export const NUMBERS: readonly number[] = [0, -0, -1, 1, 1.5, 2 ** 31, 2 ** 53, 1e300, -1e300, 5e-324];

/** JSON of any shape, some of it with names that mean something to an object. */
export function anyJson(random: SeededRandom, depth = 3): unknown {
  const kind = random.int(depth > 0 ? 8 : 5);
  if (kind === 0) return random.pick(TEXTS);
  if (kind === 1) return random.pick(NUMBERS);
  if (kind === 2) return random.pick([true, false]);
  if (kind === 3) return null;
  if (kind === 4) return random.pick(["2020-01-01T00:00:00Z", "hello", "main/x#1"]);
  if (kind === 5) return Array.from({ length: random.int(4) }, () => anyJson(random, depth - 1));
  const names = [
    ...TEXTS.slice(19, 24),
    "name",
    "input",
    "key",
    "value",
    "data",
    "cron",
    "run",
    "n",
    "limits",
  ];
  return Object.fromEntries(
    Array.from({ length: random.int(5) }, () => [random.pick(names), anyJson(random, depth - 1)]),
  );
}
