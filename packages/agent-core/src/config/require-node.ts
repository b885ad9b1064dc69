import { badConfig } from "./define-config.ts";

const OLDEST = 24;

/**
 * For programs, before they do anything else: an older Node ends in the midst of it, with an error that says nothing.
 *
 * @throws `agent.bad_config`
 * @example requireNode();
 */
export function requireNode(version: string = process.versions.node): void {
  if (Number(version.split(".")[0]) >= OLDEST) return;
  throw badConfig(
    `Sentient needs Node ${OLDEST} or later, and this is ${version}: install a newer one, or put npx -y -p node@${OLDEST} -- in front of the command`,
  );
}
