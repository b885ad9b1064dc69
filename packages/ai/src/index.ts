// models
export { fromAiSdk } from "./from-ai-sdk.ts";
export type { FromAiSdkOptions, ModelSettings } from "./from-ai-sdk.ts";
export type { ModelPrice } from "./price.ts";
export { embedderFromAiSdk } from "./from-ai-sdk-embedding.ts";
export type { EmbedderFromAiSdkOptions } from "./from-ai-sdk-embedding.ts";
export { toUiStream } from "./ui-stream.ts";
export type { UiStreamOptions } from "./ui-stream.ts";

// agents
export { defineAssistant } from "./assistant.ts";
export type { Assistant, AssistantOptions } from "./assistant.ts";

// tools
export { defineTool, rawTool } from "./tool.ts";
export type { DefinedTool, Effect, RawToolOptions, ToolContext, ToolOptions, Verified } from "./tool.ts";
export type { ApprovalOptions } from "./approval.ts";
export { agentTool, capabilityTool, handoffTool } from "./agent-tools.ts";
export type { AgentToolOptions, CapabilityToolOptions } from "./agent-tools.ts";
export { memoryTools } from "./memory-tools.ts";
export type { MemoryScope, MemoryToolsOptions } from "./memory-tools.ts";

// code that nobody vouches for
export { untrusted } from "./untrusted/index.ts";
export type { UntrustedFunction, UntrustedOptions } from "./untrusted/index.ts";

// what it may cost
export { createBudgets } from "./budget/budgets.ts";
export type { Budgets, BudgetStatus, MeterOptions, Price } from "./budget/budgets.ts";
export type { Amounts, Limits } from "./budget/tables.ts";

// when it goes wrong
export { AiError } from "./errors.ts";
export type { AiErrorCode } from "./errors.ts";
