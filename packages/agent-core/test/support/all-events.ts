import type { EventBus } from "@sentient/event-bus";
import type { Event } from "@sentient/schema";

export async function allEvents(bus: EventBus): Promise<Event[]> {
  const all: Event[] = [];
  for (;;) {
    const { events } = await bus.history({ after: all.at(-1)?.position ?? 0, limit: 1_000 });
    if (events.length === 0) return all;
    all.push(...events);
  }
}
