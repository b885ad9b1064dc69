import { defineConfig } from "@sentient/agent-core/config";

export default defineConfig({ agents: "./agents.ts" });
