// Saga. Each thing that was done says how it is undone. Where a later one fails, or somebody cancels, all that was done is
// undone in reverse, as steps: a crash in the middle does not lose the rest.
//
//   npm run example saga
//
// prints
//
//   book the flight
//   book the hotel
//   book the car
//   cancel the hotel
//   cancel the flight
//   the trip failed: no car left in Rome

import { createSentient, defineWorkflow, NonRetryable, type Context } from "@sentient/agent-core";
import { z } from "zod";

const trip = defineWorkflow({
  name: "trip",
  input: z.object({ to: z.string() }),
  run: async (ctx, { to }) => {
    await book(ctx, "flight");
    await book(ctx, "hotel");
    await ctx.step("book-car", () => {
      console.log("book the car");
      throw new NonRetryable(`no car left in ${to}`); // another error would be tried again first
    });
  },
});

async function book(ctx: Context, what: string): Promise<void> {
  // Said before it is done: whether a booking whose answer was lost was made, only the other side knows.
  ctx.compensate(`cancel-${what}`, () => console.log(`cancel the ${what}`));
  await ctx.step(`book-${what}`, () => console.log(`book the ${what}`));
}

await using sentient = await createSentient({ url: "mem://", workflows: [trip] });

await sentient.execute(trip, { to: "Rome" }).catch((error: Error) => {
  console.log(`the trip failed: ${error.message}`);
});
