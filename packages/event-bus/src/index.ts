export { createEventBus } from "./bus.ts";
export type { EventBus, EventBusEvents, EventBusOptions, FollowOptions } from "./bus.ts";
