export { createMemory } from "./memory.ts";
export type { MemoryContext, MemoryOptions, MemoryStore } from "./memory.ts";
export type { NewMemory, Query } from "./options.ts";
export type { FoundBy, Hit } from "./recall.ts";
export type { ThreadInfo, ThreadMessage, ThreadPage } from "./threads.ts";
export type { Reason, Why, WhyMessage, WhyStep } from "./why.ts";
export type { CompactOptions, Forgotten } from "./forgetting.ts";

// texts as directions
export { localEmbedder } from "./embedding.ts";
export type { Embedder } from "./embedding.ts";
