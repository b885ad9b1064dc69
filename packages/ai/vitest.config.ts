import { databaseTests } from "@sentient/testkit/vitest";

export default databaseTests({ isolate: true });
