import { databaseTests } from "./src/vitest.ts";

export default databaseTests();
