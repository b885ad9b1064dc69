// All that is published, packed and installed once for all of these tests.

import type { TestProject } from "vitest/node";
import { pack, publishedFolders, Stranger, type Packed } from "./stranger.ts";

declare module "vitest" {
  interface ProvidedContext {
    folder: string;
    packed: Packed[];
  }
}

export default async function install(project: TestProject): Promise<() => Promise<void>> {
  const stranger = await Stranger.create();
  const packed: Packed[] = [];
  for (const folder of await publishedFolders()) packed.push(await pack(folder, stranger.folder));
  await stranger.install(packed);
  project.provide("folder", stranger.folder);
  project.provide("packed", packed);
  return () => stranger.remove();
}
