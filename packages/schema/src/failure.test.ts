import { describe, expect, onTestFinished, test } from "vitest";
import { Failure, failureOf } from "./failure.ts";
import { limits } from "./limits.ts";

describe("what is kept of an error", () => {
  test("is its name, message, code and stack, and what caused it", () => {
    const root = Object.assign(new RangeError("-1 left"), { code: "E_LEFT" });
    const error = new TypeError("no more", { cause: new Error("the shelf is empty", { cause: root }) });
    const failure = failureOf(error, true);
    expect(Failure.parse(failure)).toEqual(failure);
    expect(failure).toEqual({
      name: "TypeError",
      message: "no more",
      stack: error.stack,
      retryable: true,
      causes: [
        { name: "Error", message: "the shelf is empty" },
        { name: "RangeError", message: "-1 left", code: "E_LEFT" },
      ],
    });
  });

  test("ends where causes go in a circle, or become too many", () => {
    const error = new Error("one");
    error.cause = new Error("two", { cause: error });
    expect(failureOf(error).causes).toEqual([{ name: "Error", message: "two" }]);
    let deep = new Error("0");
    for (let i = 1; i < 20; i++) deep = new Error(String(i), { cause: deep });
    expect(failureOf(deep).causes!.map(({ message }) => message)).toEqual(
      "18 17 16 15 14 13 12 11".split(" "),
    );
  });

  test("is bounded", () => {
    const { message, stack } = failureOf(new Error("ä".repeat(1_000_000)));
    for (const text of [message, stack!])
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limits.errorBytes);
  });

  test.each([
    ["401 for Bearer 0123456789abcdef", "401 for Bearer [redacted]"],
    ["GET https://ada:secret-of-hers@example.com/a failed", "GET https://[redacted]@example.com/a failed"],
    ['{"api_key":"0123456789"}', '{"api_key":"[redacted]"}'],
    ["OPENAI_API_KEY=0123456789abc is wrong", "OPENAI_API_KEY=[redacted] is wrong"],
    ["password: correct-horse-battery", "password: [redacted]"],
    ["Incorrect API key provided: sk-proj-0123456789abcdefghij.", "Incorrect API key provided: [redacted]."],
    ["token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl", "token [redacted]"],
    ["AKIAIOSFODNN7EXAMPLE is unknown", "[redacted] is unknown"],
  ])("has no secret: %s", (message, kept) => {
    const failure = failureOf(new Error(message, { cause: new Error(message) }));
    expect(failure.message).toBe(kept);
    expect(failure.causes![0]!.message).toBe(kept);
    expect(failure.stack).not.toContain(message);
  });

  test.each([
    "Unexpected token 'a', \"abc\" is not valid JSON",
    "the token 17 is older than 18",
    "no such key: extract@1/default",
    "https://example.com/a@b is not there",
  ])("keeps what only looks a little like one: %s", (message) => {
    expect(failureOf(new Error(message)).message).toBe(message);
  });

  test("has none of what the environment calls a secret, nor of what it is told", () => {
    process.env.OWL_PASSWORD = "tu-whit tu-whoo";
    onTestFinished(() => void delete process.env.OWL_PASSWORD);
    const thrown = new Error("refused: tu-whit tu-whoo, and +4912345678");
    expect(failureOf(thrown, false, ["+4912345678"]).message).toBe("refused: [redacted], and [redacted]");
  });

  test("is soon found in texts that are made to be slow", { timeout: 20_000 }, () => {
    for (const evil of ["a-", "eyJaaaaaaaa-", "://", "token", "Bearer "]) {
      const text = evil.repeat(1_000_000 / evil.length);
      expect(failureOf(new Error(text)).message.slice(0, 1_000)).toBe(text.slice(0, 1_000));
    }
  });

  test("is something, whatever was thrown", () => {
    const hostile = {
      toString() {
        throw new Error("no");
      },
    };
    for (const thrown of ["a text", undefined, null, 7, hostile, Object.create(null)])
      expect(Failure.parse(failureOf(thrown)).message).toBeTypeOf("string");
  });
});
