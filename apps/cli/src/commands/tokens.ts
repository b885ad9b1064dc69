import { AccessScope } from "@sentient/schema";
import { Argument, Option } from "commander";
import { usage } from "../cli-error.ts";
import { defineCommand, defineGroup } from "../command.ts";
import { openSentient } from "../open.ts";
import { byOption, collect } from "../options.ts";
import { note, printable, table } from "../print.ts";

const SCOPES = AccessScope.options;

const createToken = defineCommand<{ scope: string[]; days?: string; by: string }>({
  name: "create",
  summary: "make a token for the API",
  description: "Makes a token for the API and prints it. That is the only time: the database holds its hash.",
  args: [new Argument("<name>", "whose it is")],
  options: [
    new Option("--scope <scope>", `what it allows, with commas: ${SCOPES.join(", ")}`)
      .argParser(collect)
      .makeOptionMandatory(),
    new Option("--days <number>", "how long it counts (default: until it is revoked)"),
    byOption(),
  ],
  examples: [["sentient tokens create ci --scope read,write --days 30", "for a program"]],
  run: async ([name], { scope, days, by, ...flags }) => {
    const unknown = scope.find((each) => !(SCOPES as readonly string[]).includes(each));
    if (unknown !== undefined) throw usage(`there is no scope ${unknown}; there are ${SCOPES.join(", ")}`);
    if (days !== undefined && !/^[1-9]\d{0,4}$/.test(days)) throw usage("--days takes a whole number");
    const expiresAt =
      days === undefined ? {} : { expiresAt: new Date(Date.now() + Number(days) * 86_400_000) };
    await using opened = await openSentient(flags);
    const scopes = scope as AccessScope[];
    const { secret, token } = await opened.sentient.state.accessTokens.create({
      name: name!,
      scopes,
      by,
      ...expiresAt,
    });
    if (!flags.json) note(`${token.id} is made; the secret is shown this once`);
    return { json: { ...token, secret }, lines: [secret] };
  },
});

const listTokens = defineCommand({
  name: "list",
  summary: "list tokens, without their secrets",
  description: "Lists who is let in to the API, to do what, until when.",
  examples: [["sentient tokens list", "all of them"]],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const tokens = await opened.sentient.state.accessTokens.list();
    if (tokens.length === 0 && !flags.json) note("there is no token");
    const rows = tokens.map(({ id, name, scopes, expiresAt, revokedAt }) => [
      id,
      printable(name),
      scopes.join(" "),
      revokedAt ? `revoked ${revokedAt.toISOString()}` : (expiresAt?.toISOString() ?? "until it is revoked"),
    ]);
    return {
      json: { tokens },
      lines: rows.length === 0 ? [] : table(["TOKEN", "WHOSE", "MAY", "COUNTS"], rows),
    };
  },
});

const revokeToken = defineCommand<{ by: string }>({
  name: "revoke",
  summary: "let nobody in with a token any more",
  description: "Revokes a token: within a minute nobody is let in with it.",
  args: [new Argument("<token>", "its id, as list shows it")],
  options: [byOption()],
  examples: [["sentient tokens revoke 3f9a12bc44d0", "at once, for new requests"]],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const token = await opened.sentient.state.accessTokens.revoke(id!, { by: flags.by });
    return { json: token, lines: [`${id} is revoked`] };
  },
});

export const tokensCommand = defineGroup("tokens", "who is let in to the API", [
  createToken,
  listTokens,
  revokeToken,
]);
