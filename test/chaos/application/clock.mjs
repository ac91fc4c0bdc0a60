/**
 * Loaded before everything else, so that nothing holds on to the true clock: what
 * `setClock` adds is what somebody did to the machine's clock. Only the wall
 * clock moves; no operating system lets one set the monotonic one.
 */
const RealDate = Date;
const trueOrigin = performance.timeOrigin;
let shift = Number(process.env.CHAOS_CLOCK_SHIFT ?? 0);
const shiftAtStart = shift;

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shift);
    else super(...args);
  }

  static now() {
    return RealDate.now() + shift;
  }
};
// Of the time at which the process began, which setting the clock leaves alone.
Object.defineProperty(performance, 'timeOrigin', {
  value: trueOrigin + shiftAtStart,
});

/** @param milliseconds how far the wall clock is ahead of the true one */
export function setClock(milliseconds) {
  shift = milliseconds;
}
