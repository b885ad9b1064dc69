// The oxlint plugin of this repository; .oxlintrc.json loads it.
import { boundSurrealql, type Rule } from "./bound-surrealql.ts";

const rules: Record<string, Rule> = { "bound-surrealql": boundSurrealql };

export default { meta: { name: "sentient" }, rules };
