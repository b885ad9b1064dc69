// Who counts what the models of a runtime cost, for conversations that name nobody.

import type { Meter } from "./turn.ts";

const meters = new WeakMap<object, Meter>();

export function meteredBy<C extends object>(ctx: C, meter: Meter | undefined): C {
  if (meter) meters.set(ctx, meter);
  return ctx;
}

export const meterOf = (ctx: object): Meter | undefined => meters.get(ctx);
