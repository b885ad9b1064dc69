// Secrets. Owns: what of a text nobody is to read, as it goes into events, rows and logs.
// What looks like a credential, what this process was given as one by its environment, and what a run calls secret.
// It is a net beneath who writes messages, not a licence to write secrets into them.

const REDACTED = "[redacted]";
/** Shorter ones occur in any text. */
const LEAST = 8;

const LOOKS: readonly [RegExp, string][] = [
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  [/(\w:\/\/)[^\s/@]+@/g, `$1${REDACTED}@`], // a URL with who asks
  [
    /(\b[\w-]{0,40}(?:(?:api|access|private)[-_]?key|token|secret|passwd|password)["']?\s*[:=]\s*["']?)[^\s"',;&]{8,}/gi,
    `$1${REDACTED}`,
  ],
  [/\b(?:sk|rk|pk)[-_][\w-]{16,}/g, REDACTED],
  [/\b(?:gh[pousr]|github_pat|xox[abeprs]|glpat|npm)[-_][\w-]{16,}/g, REDACTED],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g, REDACTED],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+/g, REDACTED], // a JSON Web Token
];

/**
 * A text without what is, or looks like, a secret.
 *
 * @param known what is one, however it looks
 * @example withoutSecrets("401 for Bearer 0123456789abcdef"); // "401 for Bearer [redacted]"
 */
export function withoutSecrets(text: string, known: readonly string[] = []): string {
  return redaction(known)(text);
}

/** The same for several texts: the environment is looked through once. */
export function redaction(known: readonly string[]): (text: string) => string {
  const secrets = [...known, ...environmentSecrets()].filter(({ length }) => length >= LEAST);
  return (text) => {
    let rest = text;
    for (const secret of secrets) rest = rest.replaceAll(secret, REDACTED);
    for (const [look, instead] of LOOKS) rest = rest.replace(look, instead);
    return rest;
  };
}

function environmentSecrets(): string[] {
  return Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && /(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$/i.test(name) ? value : [],
  );
}
