import { describe, expect, test } from "vitest";
import { matches } from "./pattern.ts";

const exactly = (pattern: string) => ({ expression: `string::matches($value, '${pattern}')`, exact: true });
const roughly = (pattern: string) => ({ ...exactly(pattern), exact: false });
const unlessAstral = (pattern: string) => ({
  expression: `(string::matches($value, '[\\\\x{10000}-\\\\x{10FFFF}]') OR ${exactly(pattern).expression})`,
  exact: false,
});
const SPACE =
  "\\\\t-\\\\r \\\\x{A0}\\\\x{1680}\\\\x{2000}-\\\\x{200A}\\\\x{2028}\\\\x{2029}\\\\x{202F}\\\\x{205F}\\\\x{3000}\\\\x{FEFF}";

const patternOf = (source: string, flags = "") => new RegExp(source, flags);

describe("what SurrealQL can say", () => {
  test.each([
    [/^\d+$/, exactly("^[0-9]+$")],
    [/\w\s/, exactly(`[0-9A-Z_a-z][${SPACE}]`)],
    [/^[\w.-]+$/g, exactly("^[\\\\-.0-9A-Z_a-z]+$")],
    [/\bfoo\b/, exactly("(?-u:\\\\b)foo(?-u:\\\\b)")],
    [/^(?<year>\d{4})-(?:0?[1-9]|1[0-2])$/, exactly("^([0-9]{4})-(?:0?[1-9]|1[0-2])$")],
    [/^a{2,}?b*?c+?d??$/, exactly("^a{2,}?b*?c+?d??$")],
    [/a\.\*\/\\\/'"/, exactly("a\\\\.\\\\*/\\\\x{5C}/\\'\"")],
    [/;`{--#⟨/, exactly(";`\\\\{--#\\\\x{27E8}")],
    [/^[äöüß]+$/, exactly("^[ßäöü]+$")],
    [/\t\n\v\f\r\0/, exactly("\\\\t\\\\n\\\\x{B}\\\\x{C}\\\\r\\\\x{0}")],
    [/\cA\x41\u0042/, exactly("\\\\x{1}AB")],
    [/\u{43}\ud83d\ude00/u, exactly("C\\\\x{1F600}")],
    [/^(?:👍|👎)$/, exactly("^(?:\\\\x{1F44D}|\\\\x{1F44E})$")],
    [/[[&&~~-]/, exactly("[&\\\\-\\\\[~]")],
    [/[\b]/, exactly("\\\\x{8}")],
    [patternOf("[]"), exactly("[^\\\\x{0}-\\\\x{10FFFF}]")],
    [/[^]/u, exactly("(?s:.)")],
    [/[^\d]/u, exactly("[^0-9]")],
    [/^.$/u, exactly("^[^\\\\n\\\\r\\\\x{2028}\\\\x{2029}]$")],
    [/^.$/su, exactly("^(?s:.)$")],
    [/^.*$/, exactly("^[^\\\\n\\\\r\\\\x{2028}\\\\x{2029}]*$")],
    [/abc/m, exactly("abc")],
    [/a|b||c/, exactly("a|b||c")],
    [/^$/, exactly("^$")],
    [patternOf(""), exactly("(?:)")],
    [/[\w--\d]/v, exactly("[A-Z_a-z]")],
    [/^\p{ASCII}$/u, exactly("^[\\\\x{0}-\\\\x{7F}]$")],
  ])("%s", (pattern, expected) => {
    expect(matches(pattern, "$value")).toEqual(expected);
  });

  test.each([
    ["a{,3}", exactly("a\\\\{,3\\\\}")],
    ["^\\c$", exactly("^\\\\x{5C}c$")],
    ["\\U0041\\u{3}", exactly("U0041u{3}")],
    ["\\1\\101\\8", exactly("\\\\x{1}A8")],
    ["]}{", exactly("\\\\]\\\\}\\\\{")],
    ["\\k<a>", exactly("k<a>")],
    ["\\p{L}", exactly("p\\\\{L\\\\}")],
  ])("the old syntax %s", (source, expected) => {
    expect(matches(patternOf(source), "$value")).toEqual(expected);
  });

  test.each([
    [/Ok-1/i, exactly("[Oo][Kk]-1")],
    [/sk/iu, exactly("[Ssſ][Kk\\\\x{212A}]")],
    [/[a-c]é/i, exactly("[A-Ca-c][Éé]")],
  ])("%s, whose case JavaScript folds by its own rules", (pattern, expected) => {
    expect(matches(pattern, "$value")).toEqual(expected);
  });

  test("lookaheads behind a beginning of fixed width are conditions of their own", () => {
    expect(matches(/^a[bc](?!00|01)(?=.*z$)\d+$/, "$value.name")).toEqual({
      expression:
        "(!string::matches($value.name, '^a[bc](?:00|01)')" +
        " AND string::matches($value.name, '^a[bc](?:[^\\\\n\\\\r\\\\x{2028}\\\\x{2029}]*z$)')" +
        " AND string::matches($value.name, '^a[bc][0-9]+$'))",
      exact: true,
    });
  });

  test("halves do not matter where no character beyond U+FFFF gets by anyway", () => {
    expect(matches(/^(?=.{1,253}$)[a-z.]+$/, "$value")?.exact).toBe(true);
    expect(matches(/^(?=.{1,253}$)[a-z.]+/, "$value")?.exact).toBe(false);
  });
});

describe("what SurrealQL can say roughly", () => {
  test.each([
    [/^.{2}$/, unlessAstral("^[^\\\\n\\\\r\\\\x{2028}\\\\x{2029}]{2}$")],
    [/^\S+$/, unlessAstral(`^[^${SPACE}]+$`)],
    [/^(?:\D)*$/, unlessAstral("^(?:[^0-9])*$")],
    [/a\B/, unlessAstral("a(?-u:\\\\B)")],
    [/^\p{L}+$/u, roughly("^[\\\\p{L}\\\\p{Cn}]+$")],
    [/^[^\p{Lu}a-z]$/v, roughly("^[[^\\\\p{Lu}a-z]\\\\p{Cn}]$")],
    [/[\p{Script=Greek}^-]/u, roughly("[\\\\p{Script=Greek}\\\\-\\\\^\\\\p{Cn}]")],
  ])("%s", (pattern, expected) => {
    expect(matches(pattern, "$value")).toEqual(expected);
  });
});

describe("what SurrealQL cannot say", () => {
  test.each([
    [/(a)\1/],
    [/(?<n>a)\k<n>/],
    [/a(?=b)/],
    [/^(?:(?!a)b)+$/],
    [/^a|(?!b)c/],
    [/^a*(?!b)/],
    [/(?!a)b/],
    [/(?<=a)b/],
    [/(?<!a)b/],
    [/a/y],
    [/^a$/m],
    [/\bk/iu],
    [/^(?!\p{L})./u],
    [/\p{Lu}/iu],
    [/\P{Ll}/u],
    [/\p{Script=Tangut}/u],
    [/\p{RGI_Emoji}/v],
    [/[\q{abc}]/v],
    [/[\p{L}--[a-z]]/v],
    [/[a-z]{1,1000000}/],
    [/\p{L}{1000}/u],
    [/(?:(?:a{1,1000}){1,1000}){1,1000}/],
    [patternOf("(?i:a)")],
    [patternOf(`${"(".repeat(100)}a${")*".repeat(100)}`)],
  ])("%s", (pattern) => {
    expect(matches(pattern, "$value")).toBeUndefined();
  });
});

test("the text has visible characters only, and one line", () => {
  const controls = Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code)).join("");
  const { expression } = matches(patternOf(`[${controls.replace("\n", "")}]\n\u202E\u00AD\u3164`), "$value")!;
  expect(expression).toMatch(/^[ -~]+$/);
});
