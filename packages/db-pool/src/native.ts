import { createRequire } from "node:module";
import "@surrealdb/node";

/** The engine as its native binding offers it: CBOR in, CBOR out. */
export interface NativeEngine {
  execute(request: Uint8Array): Promise<Uint8Array>;
  notifications(): Promise<{ recv(): Promise<Uint8Array | null> }>;
  free(): void;
}

interface NativeOptions {
  query_timeout?: number;
  transaction_timeout?: number;
  capabilities: {
    scripting: boolean;
    guest_access: boolean;
    live_query_notifications: boolean;
    functions: boolean;
    network_targets: boolean;
    experimental: boolean;
  };
}

/** Everything a query does not need is off. */
export const NATIVE_OPTIONS: NativeOptions = {
  // A backstop for what nobody waits for any more; the limit of a call is the caller's own.
  query_timeout: 255,
  transaction_timeout: 255,
  capabilities: {
    functions: true,
    live_query_notifications: true,
    scripting: false,
    guest_access: false,
    network_targets: false,
    experimental: false,
  },
};

interface Binding {
  SurrealNodeEngine: { connect(url: string, options: NativeOptions): Promise<NativeEngine> };
}

// `@surrealdb/node` wraps its binding in a class that swallows the errors of opening, and that keeps a read pending for
// ever, so a process could neither be told why a folder does not open nor end without giving it up (surrealdb.js#582).
// The package has chosen and loaded the file for this platform by now; it is taken from where Node keeps it.
const { SurrealNodeEngine } = findBinding();

/** Opens an embedded engine. Unlike the SDK's class, this rejects with the engine's own words when it cannot. */
export function openNative(url: string, options = NATIVE_OPTIONS): Promise<NativeEngine> {
  return SurrealNodeEngine.connect(url, options);
}

function findBinding(): Binding {
  const { cache } = createRequire(import.meta.url);
  for (const [file, module] of Object.entries(cache)) {
    const exports: unknown = file.endsWith(".node") ? module?.exports : undefined; // what is no module is kept there too
    if (typeof exports === "object" && exports !== null && "SurrealNodeEngine" in exports)
      return exports as Binding;
  }
  throw new Error(
    "@surrealdb/node loaded no native binding that @sentient/db-pool knows; is it version 3.0.3?",
  );
}
