// Research. Owns: how the agents work together: read, plan, search beside each other, write, review, ask, publish.

import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, relative, resolve, sep } from "node:path";
import { defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";
import {
  actOn,
  Indexed,
  ModelName,
  researchAgents,
  type ResearchAgents,
  type Surroundings,
} from "./agents.ts";
import { markdownOf, type Draft } from "./answer.ts";
import type { Removed } from "./review.ts";

export const RESEARCH = "research";
/** The step at which it asks a person. */
const QUESTION = "publish";

const ResearchInput = z.object({
  folder: z.string().min(1),
  question: z.string().min(1).max(2_000),
  /** Of source code all of it, or what stands at the top of its files. */
  code: z.enum(["whole", "headers"]).default("whole"),
  /** Where the report goes. */
  report: z.string().min(1),
  model: ModelName,
});

export const ResearchOutput = z.object({
  indexed: Indexed,
  tasks: z.int(),
  findings: z.int(),
  citations: z.int(),
  removed: z.int(),
  model: ModelName,
  /** Missing if the person said no. */
  report: z.string().optional(),
});

export function defineResearch(surroundings: Surroundings) {
  const agents = researchAgents(surroundings);
  return { agents, research: researchWith(agents, surroundings) };
}

function researchWith(agents: ResearchAgents, surroundings: Surroundings) {
  const act = actOn(surroundings);
  return defineWorkflow({
    name: RESEARCH,
    description: "answers a question from the files of a folder, with citations that were checked",
    input: ResearchInput,
    output: ResearchOutput,
    run: async (ctx, { folder, question, code, report, model }) => {
      const thinking = model === undefined ? {} : { model };
      const indexed = await ctx.call(agents.indexer, { folder, code });
      const { tasks, unknown } = await ctx.call(agents.planner, { folder, question, ...thinking });
      let answered = 0;
      ctx.progress(answered, tasks.length, "readers");
      const read = await ctx.map(
        tasks,
        async (branch, task) => {
          const section = await branch.call(agents.reader, { folder, task, ...thinking });
          ctx.progress(++answered, tasks.length, "readers");
          return section;
        },
        { name: "tasks", concurrency: 4 },
      );
      await ctx.checkpoint("read");
      const draft = await ctx.call(agents.writer, { question, read, unknown, ...thinking });
      const reviewed = await ctx.call(agents.reviewer, { folder, draft });
      const answer = await ctx.ask(QUESTION, {
        text: `Write the report to ${report}?`,
        schema: z.boolean(),
      });
      if (answer.value)
        await ctx.step(
          "write",
          act(() => publish(report, { folder, indexed, model, ...reviewed })),
        );
      return {
        indexed,
        tasks: tasks.length,
        findings: read.reduce((sum, { findings }) => sum + findings.length, 0),
        citations: reviewed.checked,
        removed: reviewed.removed.length,
        ...thinking,
        ...(answer.value ? { report } : {}),
      };
    },
  });
}

interface Published {
  folder: string;
  indexed: z.output<typeof Indexed>;
  draft: Draft;
  checked: number;
  removed: Removed[];
  unfounded: number;
  model: string | undefined;
}

/** The file is there whole or not at all, and the same if it is written again. */
async function publish(report: string, { folder, indexed, draft, ...checks }: Published): Promise<number> {
  const here = dirname(resolve(report));
  const link = (file: string) => ({
    name: file,
    href: encodeURI(relative(here, resolve(folder, file)).split(sep).join("/")),
  });
  const { files, passages } = indexed;
  const text = markdownOf(draft, { files, passages, link, ...checks });
  await mkdir(here, { recursive: true });
  const unfinished = `${report}.${process.pid}.tmp`;
  await writeFile(unfinished, text);
  await rename(unfinished, report);
  return text.length;
}
