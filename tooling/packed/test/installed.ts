import { inject } from "vitest";
import { Stranger, type Packed } from "./stranger.ts";

/** What `install.ts` has made. */
export function installed(): { stranger: Stranger; packed: Packed[] } {
  return { stranger: new Stranger(inject("folder")), packed: inject("packed") };
}
