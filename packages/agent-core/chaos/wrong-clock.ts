// The date of this process, which somebody sets: as on a machine whose clock jumps. Timers go on as before.

const RealDate = Date;
let ahead = 0;

/** From now on the date is so many milliseconds ahead of the true one. */
export function setClock(ms: number): void {
  ahead = ms;
}

const now = () => RealDate.now() + ahead;

const WrongDate: DateConstructor = new Proxy(RealDate, {
  construct: (_, args: unknown[], target) =>
    Reflect.construct(
      RealDate,
      args.length > 0 ? args : [now()],
      target === WrongDate ? RealDate : target,
    ) as Date,
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === "now" ? now : (Reflect.get(target, name) as unknown)),
});
globalThis.Date = WrongDate;
