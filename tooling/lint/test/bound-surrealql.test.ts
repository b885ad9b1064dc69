import { RuleTester } from "oxlint/plugins-dev";
import { describe, test } from "vitest";
import { boundSurrealql } from "../src/bound-surrealql.ts";

RuleTester.describe = describe;
RuleTester.it = test;

const typescript = { languageOptions: { parserOptions: { lang: "ts" } } } as const;
const built = [{ messageId: "built" }];
const tag = [{ messageId: "tag" }];
const raw = [{ messageId: "raw" }];

new RuleTester(typescript).run("bound-surrealql", boundSurrealql, {
  valid: [
    { name: "lets a surql template with bound values through", code: "db.query(surql`SELECT * FROM ${id}`)" },
    {
      name: "lets a surql template with a type and a part through",
      code: "db.query(surql<Person[]>`SELECT * FROM ${ident(table)}`)",
    },
    {
      name: "lets a transaction of surql statements through",
      code: "db.transaction([surql`CREATE ${id}`, fence(lease), ...more])",
    },
    {
      name: "lets lists of statements be put together",
      code: "db.transaction(guards.concat(statements))",
    },
    {
      name: "lets statements be named before they are sent",
      code: "const save = surql`UPDATE ${id}`; db.query(save)",
    },
    { name: "lets the surql of an imported namespace through", code: "db.query(pool.surql`SELECT ${x}`)" },
    {
      name: "lets the raw SDK run a plain literal",
      code: 'client.query("RETURN 1")',
      filename: "sdk.test.ts",
    },
    { name: "lets a template without values through", code: "client.query(`RETURN 1`)" },
    {
      name: "lets numbers be added in the options beside the text",
      code: "db.query(surql`SELECT 1`, { deadline: now + 1 })",
    },
    { name: "leaves functions that are merely called query alone", code: "query(`a ${b}`)" },
    { name: "leaves other methods alone", code: "log.info(`run ${id}`)" },
    { name: "lets rawSurql have a literal", code: 'rawSurql("INFO FOR DB")' },
    {
      name: "lets a migration hand over the text of a file it read",
      code: "rawSurql(text)",
      filename: "src/migrate.ts",
    },
    {
      name: "lets a generator hand over the text it made",
      code: "rawSurql(lines.text)",
      filename: "src/generate-table.ts",
    },
    {
      name: "does not take a name on the right of += for one that is appended to",
      code: 'const part = "SELECT 1"; log += part; db.query(part)',
    },
  ],
  invalid: [
    { name: "refuses an interpolated query", code: "db.query(`SELECT * FROM ${table}`)", errors: built },
    { name: "refuses a concatenated query", code: 'db.query("SELECT * FROM " + table)', errors: built },
    {
      name: "refuses an interpolated live query",
      code: "db.live(`LIVE SELECT * FROM ${table}`)",
      errors: built,
    },
    {
      name: "refuses one interpolated statement among the bound ones",
      code: "db.transaction([surql`CREATE a`, `UPDATE ${id}`])",
      errors: built,
    },
    {
      name: "refuses it behind spread, choice and cast",
      code: "db.transaction([...(on ? [`UPDATE ${id}` as string] : [])])",
      errors: built,
    },
    { name: "refuses another tag", code: "db.query(sql`SELECT ${x}`)", errors: tag },
    { name: "refuses String.raw", code: "db.query(String.raw`SELECT ${x}`)", errors: tag },
    { name: "refuses pieces joined", code: 'db.query(["SELECT", field].join(" "))', errors: built },
    {
      name: "refuses a literal with holes replaced",
      code: 'db.query("FROM ?".replace("?", t))',
      errors: built,
    },
    {
      name: "follows a local name to the text it was given",
      code: "const text = `SELECT ${x}`; db.query(text)",
      errors: built,
    },
    {
      name: "follows a text that grows",
      code: 'let text = "SELECT 1"; if (only) text += " WHERE " + only; db.query(text)',
      errors: built,
    },
    { name: "refuses it behind ?.", code: "db?.query?.(`SELECT ${x}`)", errors: built },
    { name: "refuses it behind a computed name", code: 'db["query"](`SELECT ${x}`)', errors: built },
    {
      name: "refuses it behind a private method",
      code: "class A { #query(t: string) {} go(x: string) { this.#query(`SELECT ${x}`) } }",
      errors: built,
    },
    {
      name: "refuses interpolation in test files too",
      code: "client.query(`SELECT ${x}`)",
      filename: "test/sdk.test.ts",
      errors: built,
    },
    {
      name: "refuses the SDK's BoundQuery over built text",
      code: "new BoundQuery(`SELECT ${x}`)",
      errors: built,
    },
    {
      name: "refuses a statement made by hand over built text",
      code: "new Statement([`SELECT ${x}`], [])",
      errors: built,
    },
    { name: "refuses interpolated raw text", code: "rawSurql(`SELECT ${x}`)", errors: raw },
    { name: "refuses raw text from a variable", code: "rawSurql(text)", errors: raw },
    { name: "refuses surql called as a function over a variable", code: "surql(text)", errors: raw },
    {
      name: "refuses raw text built in the call of a migration",
      code: "rawSurql(`REMOVE TABLE ${name}`)",
      filename: "src/migrate.ts",
      errors: raw,
    },
    {
      name: "refuses raw text concatenated in the call of a generator",
      code: 'rawSurql("REMOVE TABLE " + name)',
      filename: "src/generate.ts",
      errors: raw,
    },
    {
      name: "does not take remigrate.ts for a migration",
      code: "rawSurql(text)",
      filename: "src/remigrate.ts",
      errors: raw,
    },
  ],
});
