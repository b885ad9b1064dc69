// Pages. Owns: reading many rows whose sizes nobody knows beforehand, a few megabytes at a time.

const FIRST = 16;
const MOST = 500;
/** Of a page, about. */
const BYTES = 4 * 1024 * 1024;

/** What `read` answers for `keys`, one after the other. The next page is as long as the last one's size suggests. */
export async function* inPages<K, Row extends object>(
  keys: readonly K[],
  read: (page: readonly K[]) => Promise<readonly Row[]>,
): AsyncGenerator<Row> {
  for (let at = 0, length = FIRST; at < keys.length;) {
    const page = keys.slice(at, at + length);
    const rows = await read(page);
    yield* rows;
    at += page.length;
    const each = rows.reduce((sum, row) => sum + sizeOf(row), 0) / Math.max(1, rows.length);
    length = Math.max(1, Math.min(MOST, 4 * page.length, Math.floor(BYTES / Math.max(1, each))));
  }
}

/** Of its texts, about. */
export function sizeOf(row: object): number {
  return Object.values(row).reduce<number>(
    (sum, value) => sum + (typeof value === "string" ? value.length : 64),
    0,
  );
}
