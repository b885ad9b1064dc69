// code that nobody vouches for
export { untrusted } from "./untrusted.ts";
export type { UntrustedFunction, UntrustedOptions } from "./untrusted.ts";
