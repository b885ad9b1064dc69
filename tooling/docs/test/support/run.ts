// Imports modules one after the other, and says for each what it printed: lines of JSON on stdout.

import { pathToFileURL } from "node:url";
import { formatWithOptions } from "node:util";

const write = process.stdout.write.bind(process.stdout);
let printed = "";
console.log = (...values: unknown[]) => {
  printed += `${formatWithOptions({ colors: false }, ...values)}\n`;
};
process.stdout.write = (text: string | Uint8Array) => {
  printed += String(text);
  return true;
};

for (const file of process.argv.slice(2)) {
  printed = "";
  let error: string | undefined;
  try {
    await import(pathToFileURL(file).href);
  } catch (thrown) {
    error = String((thrown as Error).stack ?? thrown);
  }
  write(`${JSON.stringify({ file, printed, error })}\n`);
}
