import { databaseTests } from "@sentient/testkit/vitest";

// Its tests open engines by the hundred, and RocksDB keeps each until its process ends.
export default databaseTests({ isolate: true });
