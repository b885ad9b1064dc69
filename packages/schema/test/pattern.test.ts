import { type Database, openDatabase, rawSurql, surql } from "@sentient/db-pool";
import { freshNames } from "@sentient/testkit";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { PROPERTIES, SHRUNK } from "../src/char-set.ts";
import { matches } from "../src/pattern.ts";

let db: Database;
beforeAll(async () => void (db = await openDatabase({ url: "mem://", ...freshNames() })));
afterAll(() => db.close());

/** Statements out of a pattern, as a migration's file has them. */
function statements(text: string) {
  // oxlint-disable-next-line sentient/bound-surrealql -- what is tested here is text that goes into a file
  return rawSurql(text);
}

/** What an expression of `$value` says of each string. */
const answers = (expression: string, strings: string[]) =>
  db.query(surql<boolean[]>`{
    LET $strings = ${strings};
    RETURN $strings.map(|$value| ${statements(expression)[0]!})
  }`);

const plain = (pattern: RegExp) => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));

/** The strings for which the engine says what it must not. */
async function disagreements(pattern: RegExp, strings: string[]): Promise<string[]> {
  const { expression, exact } = matches(pattern, "$value")!;
  const said = await answers(expression, strings);
  const js = plain(pattern);
  return strings.filter((string, i) => (exact ? said[i] !== js.test(string) : !said[i] && js.test(string)));
}

// patterns

const ZOD: Record<string, RegExp> = Object.fromEntries(
  Object.entries({
    ...z.regexes,
    mac: z.regexes.mac(),
    macDots: z.regexes.mac("."),
    uuid: z.regexes.uuid(),
    uuid4: z.regexes.uuid(4),
    emoji: z.regexes.emoji(),
    string: z.regexes.string(),
    boundedString: z.regexes.string({ minimum: 2, maximum: 5 }),
    time: z.regexes.time({}),
    minutes: z.regexes.time({ precision: -1 }),
    datetime: z.regexes.datetime({}),
    localDatetime: z.regexes.datetime({ local: true, offset: true, precision: 3 }),
    olderEmail:
      /^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$/,
  }).filter((entry): entry is [string, RegExp] => entry[1] instanceof RegExp),
);

const UNSAYABLE = ["duration", "extendedDuration"];
const ROUGH = ["emoji", "rfc5322Email", "boundedString"];

const HARD = [
  /a/,
  /^$/,
  /^a|b$/,
  /^(?:a|b)?$/,
  /\d/,
  /^\D$/,
  /^\w+$/,
  /^\W+$/u,
  /\s$/,
  /^\S*$/,
  /^\S+$/u,
  /\ba/,
  /a\b/,
  /\B/,
  /\B/u,
  /a\B/,
  /^.$/,
  /^.$/u,
  /^.{2}$/,
  /^.*$/,
  /^.*$/s,
  /^a.*\ba?.*$/,
  /^.+$/s,
  /^.*?.*?é/,
  /^[^a]$/,
  /^[^a]*[^b]*$/,
  /^[^a]*[^b]+$/,
  /^(?:[^a])*$/,
  /^[^]$/,
  /^[^]*$/,
  /^[^\n]*$/m,
  /k/i,
  /k/iu,
  /s/i,
  /[^s]/iu,
  /^\w$/iu,
  /^\W$/iu,
  /^[^\W]$/iu,
  /ß/i,
  /[à-þ]/i,
  /^ı$/i,
  /İ/iu,
  /σ/i,
  /σ/iv,
  /[\b]/,
  /[a\-z]/,
  /[-a]/,
  /[\w-a]/,
  /[&&~~]/,
  /[--/]/,
  /[[a]/,
  /[\]^]/,
  /^[\\/]$/,
  /^\\\/$/,
  /['"`;{}⟨⟩]/,
  /^--$/,
  /\/\*|#/,
  /^\u2028$/,
  /^[😀]$/u,
  /^😀$/,
  /^😀+$/,
  /^😀+$/u,
  /^😀?a$/,
  /^.😀/,
  /\ud83d/,
  /^\ud83d\ude00$/,
  /^\ud83d\ude00$/u,
  /[\ud83d]/u,
  /[\ud700-\ue100]/u,
  /[^\ud700-\ue100]/u,
  /^[^\ue000-\uffff]+$/,
  /[\w--\d]/v,
  /^[\p{ASCII}&&[^a-z]]$/v,
  /^\p{L}+$/u,
  /^\P{L}$/u,
  /^[^\p{L}\d]$/v,
  /^[\P{Lu}-]$/u,
  /[\p{Script=Greek}\p{Nd}]/u,
  /^[\p{L}\p{M}\p{N}' -]{1,100}$/u,
  /\p{White_Space}/u,
  /^(?=a)(?!ab)\w*$/,
  /^a(?!b)/,
  /^.(?!b)/,
  /^(?!.{3})/,
  /^(?!.{3})/u,
  /^(?=.{2}$)a/,
  /^(?=.{2}$)[a-z]+$/,
  /^(?!.*a$).*$/,
  /^\d{2}(?=[a-c])(?!.*\bz)\w+$/,
  /(?<x>a)(?:b|(?<y>c))/,
  /^(a{0}){2}b{1,}$/,
  ...[
    "[]",
    "^[]?$",
    "[\\x00-\\x1f]",
    "^[😀]$",
    "^[\\u0000-\\ud7ff]$",
    "a{,3}",
    "^\\c$",
    "[\\c]",
    "[\\c1]",
    "\\1",
    "\\k<a>",
    "^\\0012$",
    "x{",
    "]",
    "^\\p{L}$",
    "\\-\\_\\%",
  ].map((source) => new RegExp(source)),
];

const RUNS = Number(process.env.SENTIENT_RUNS ?? 500);
const CORPUS = [...Object.values(ZOD), ...HARD].filter((pattern) => matches(pattern, "$value") !== undefined);

// strings

const NASTY = [
  ...Array.from("abkKszSZ019_-. \t\n\r\v/\\'\"`;{}[]^&~@#:,+$|()?*%éÉßſıİσςΣà"),
  ...Array.from(
    "\0\b\x1f\x7f\u00a0\u0130\u0660\u0663\u1680\u2028\u2029\u212a\ufeff\ud7ff\ue000\uffff\u0301\u20e3\u200d",
  ),
  "😀",
  "👍",
  "😁",
  "\u{10000}",
  "\u{1f1e6}",
  "\u{10ffff}",
  "𝔞",
  "𐐨",
  "\u{1c89}",
  "\u{a7d2}",
];

const SAMPLES = [
  "",
  ..."a b ab abc aa é 😀 😀😀 a😀 😀a a😀a aéa {} a{,3} \\c \\/ -- /* a\nb a\n \na 12ab 12zb Straße user@example.com".split(
    " ",
  ),
  "a..b@example.com",
  ".a@b.co",
  "'+@x.org",
  "@",
  "192.168.0.1",
  "256.0.0.1",
  "10.0.0.0/33",
  "2001:db8::1",
  "::",
  "2024-02-29",
  "2023-02-29",
  "2024-02-29T23:59:59.123Z",
  "24:00",
  "P1DT2H",
  "123e4567-e89b-42d3-a456-426614174000",
  "00000000-0000-0000-0000-000000000000",
  "AA:BB:CC:DD:EE:FF",
  "+4915112345678",
  "QUJD",
  "QUI=",
  "a-.example.com",
  `${"a".repeat(64)}.com`,
  `${"a.".repeat(126)}com`,
  "DE89370400440532013000",
  "XX00370400440532013000",
  "TRUE",
  "٣",
  "👨‍👩‍👧",
  "1️⃣",
  "Ada O'Neil-Müller",
];

/** Strings that the pattern matches, nearly matches, and any others. */
function stringsFor(pattern: RegExp): fc.Arbitrary<string> {
  const letters = [...NASTY, ...Array.from(pattern.source)];
  const any = fc.array(fc.constantFrom(...letters), { maxLength: 6 }).map((parts) => parts.join(""));
  const valid = generated(pattern);
  const spoilt = fc
    .tuple(valid, fc.nat(), fc.nat(2), fc.constantFrom(...letters))
    .map(([string, at, removed, added]) => {
      const chars = Array.from(string);
      chars.splice(at % (chars.length + 1), removed, added);
      return chars.join("");
    });
  return fc
    .oneof(any, valid, spoilt, fc.string({ unit: "binary" }))
    .filter((string) => string.isWellFormed());
}

function generated(pattern: RegExp): fc.Arbitrary<string> {
  try {
    return fc.stringMatching(plain(pattern), { maxLength: 300 });
  } catch {
    return fc.constantFrom(...SAMPLES); // lookaheads and property names are beyond fast-check
  }
}

describe("the engine answers as JavaScript does", () => {
  test.each(CORPUS.map((pattern) => [pattern]))("%s", async (pattern) => {
    expect(await disagreements(pattern, [...SAMPLES, ...NASTY])).toEqual([]);
    const many = fc.array(stringsFor(pattern), { maxLength: 80, size: "max" });
    await fc.assert(
      fc.asyncProperty(many, async (strings) => {
        expect(await disagreements(pattern, strings)).toEqual([]);
      }),
      { numRuns: 6 },
    );
  });

  const atom = fc.constantFrom(
    ...Array.from("ab1_ é😀.^$|/'k-"),
    ...String.raw`\d \D \w \W \s \S \b \B \. \x61 \u{61} \n \c \1 {,2} \p{L} [^\p{Lu}1]`.split(" "),
    ...String.raw`[] [^] [a-c] [^a-c] [\w-] [😀k] [^\s_] [\d\D] [[-] (?:😀|.)`.split(" "),
  );
  const quantifier = fc.constantFrom("*", "+", "?", "", "", "", "", "{2}", "{0,2}", "{1,}?", "*?", "{0}");
  const { source } = fc.letrec<{ source: string; term: string }>((tie) => ({
    term: fc.oneof(
      { maxDepth: 3 },
      fc.tuple(atom, quantifier).map((parts) => parts.join("")),
      fc
        .tuple(fc.constantFrom("(", "(?:", "(?:", "(?=", "(?!", "(?<n>"), tie("source"), quantifier)
        .map(([open, inner, times]) => `${open}${inner})${times}`),
    ),
    source: fc
      .tuple(
        fc.constantFrom("", "^", "^a"),
        fc.array(tie("term"), { maxLength: 4 }),
        fc.constantFrom("", "$", "|b"),
      )
      .map(([start, terms, end]) => start + terms.join("") + end),
  }));

  test("to patterns put together at random", { timeout: 120_000 }, async () => {
    let said = 0;
    const short = fc.array(fc.constantFrom(...Array.from("aabB1_ \n.éſK\u212a😀/'-{,2}")), { maxLength: 5 });
    const many = fc.array(
      short.map((chars) => chars.join("")),
      { minLength: 60, maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(
        source,
        fc.constantFrom("", "", "i", "s", "u", "iu", "v", "iv", "m"),
        many,
        async (text, flags, strings) => {
          const pattern = compiled(text, flags);
          if (!pattern || !matches(pattern, "$value")) return;
          said++;
          expect(await disagreements(pattern, ["", "a", ...strings])).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
    expect(said).toBeGreaterThan(RUNS / 4); // of the others nothing can be said
  });
});

function compiled(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags);
  } catch {
    return undefined;
  }
}

test("zod's own formats are exact but for those known", () => {
  const named = (wanted: (exact: boolean | undefined) => boolean) =>
    Object.keys(ZOD).filter((name) => wanted(matches(ZOD[name]!, "$value")?.exact));
  expect(named((exact) => exact === undefined)).toEqual(UNSAYABLE);
  expect(named((exact) => exact === false).sort()).toEqual([...ROUGH].sort());
});

test("control: the sources as they are do not do", async () => {
  const wrong: string[] = [];
  for (const pattern of CORPUS) {
    const bound = db.query(surql<boolean[]>`{
      LET $strings = ${[...SAMPLES, ...NASTY]};
      RETURN $strings.map(|$value| string::matches($value, ${pattern.source}))
    }`);
    const said = await bound.catch(() => undefined);
    const expected = [...SAMPLES, ...NASTY].map((string) => plain(pattern).test(string));
    if (!said || expected.some((js, i) => js !== said[i])) wrong.push(String(pattern));
  }
  expect(wrong).toEqual(
    expect.arrayContaining(["/^\\w+$/", "/k/i", "/^[\\\\/]$/", String(ZOD["olderEmail"])]),
  );
  expect(wrong.length).toBeGreaterThan(40);
});

describe("in a migration's text", () => {
  const expressions = CORPUS.map((pattern) => matches(pattern, "$value")!.expression);
  const fields = expressions.map(
    (expression, i) =>
      `DEFINE FIELD f${i} ON t TYPE option<string> ASSERT $value = NONE OR ${expression}; -- '${i}`,
  );
  const text = `DEFINE TABLE t SCHEMAFULL;\n${fields.join("\n")}`;

  test("each stays one statement, and the field takes what matches and nothing else", async () => {
    const parsed = statements(text);
    expect(parsed).toHaveLength(CORPUS.length + 1);
    await db.transaction(parsed);
    for (const [i, pattern] of CORPUS.entries()) {
      const strings = [...SAMPLES, ...NASTY];
      const valid = strings.find((string) => plain(pattern).test(string));
      const said = await answers(expressions[i]!, strings);
      const invalid = strings.find((_, at) => !said[at]);
      const create = (value: string) => db.query(surql`CREATE t CONTENT ${{ [`f${i}`]: value }}`);
      if (valid !== undefined) await expect(create(valid), String(pattern)).resolves.toBeDefined();
      if (invalid !== undefined) await expect(create(invalid), String(pattern)).rejects.toThrow(`f${i}`);
    }
  });

  test("the engine's own print of the fields means the same again", async () => {
    const info = async () =>
      (await db.query(surql<{ fields: Record<string, string> }>`INFO FOR TABLE t`)).fields;
    const before = await info();
    const again = Object.values(before).map((field) =>
      field.replace("DEFINE FIELD", "DEFINE FIELD OVERWRITE"),
    );
    await db.transaction(statements(again.join(";\n")));
    expect(await info()).toEqual(before);
    expect(Object.keys(before)).toHaveLength(CORPUS.length);
  });
});

test(
  "a property name means to the engine what it means to JavaScript, or more",
  { timeout: 300_000 },
  async () => {
    // Planes 4 to 13 are empty, 15 and 16 private.
    const ranges = [
      [0, 0xd7ff],
      [0xe000, 0x3ffff],
      [0xdfffe, 0xe0fff],
      [0xffffe, 0x100001],
      [0x10fffe, 0x10ffff],
    ] as const;
    const all = ranges
      .flatMap(([from, to]) =>
        Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i)),
      )
      .join("");
    const wrong: string[] = [];
    for (const name of PROPERTIES) {
      for (const source of SHRUNK.has(name) ? [`\\p{${name}}`] : [`\\p{${name}}`, `\\P{${name}}`]) {
        const { expression } = matches(new RegExp(`^${source}*$`, "u"), "$value")!;
        const inJavaScript = all.match(new RegExp(`${source}+`, "gu"))!.join("");
        if (!(await answers(expression, [inJavaScript]))[0]) wrong.push(source);
      }
    }
    expect(wrong).toEqual([]);
  },
);

test("the engine compiles whatever is just not refused for its size", async () => {
  const things = [
    "a",
    "[ab]",
    ".",
    "\\s",
    "\\S",
    "[^a]",
    "😀",
    "(?:a|b|)",
    "(a)",
    "\\p{L}",
    "[^\\p{Lu}\\p{M}]",
    "\\p{Emoji}",
  ];
  const odd = [
    "[\\u{81}-\\u{10fffe}]",
    "[\\u{10081}-\\u{10301}]",
    "[\\u0807\\u0a0a\\u{10007}\\u{20008}]",
    "(?:\\bé?)",
  ];
  for (const thing of [...things, ...odd]) {
    for (const times of [(n: number) => `{${n}}`, (n: number) => `{0,${n}}`, (n: number) => `{${n},}`]) {
      const pattern = (n: number) => new RegExp(`^${thing}${times(n)}$`, "u");
      let n = 1;
      while (matches(pattern(n * 2), "$value")) n *= 2;
      for (let step = n / 2; step >= 1; step /= 2) if (matches(pattern(n + step), "$value")) n += step;
      expect(n).toBeGreaterThan(50);
      const { expression } = matches(pattern(n), "$value")!;
      await expect(answers(expression, ["a"]), `${thing}${times(n)}`).resolves.toHaveLength(1);
    }
  }
});

test("the engine compiles the deepest pattern not refused", async () => {
  const deep = (n: number) => new RegExp(`${"(?:[^\\p{L}]|b".repeat(n)}a${")*c|d".repeat(n)}`, "u");
  let n = 1;
  while (matches(deep(n + 1), "$value")) n++;
  expect(n).toBeGreaterThan(20);
  await expect(answers(matches(deep(n), "$value")!.expression, ["d"])).resolves.toEqual([true]);
});
