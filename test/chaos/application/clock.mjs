/**
 * Loaded before everything else, so that no module keeps the true clock:
 * `setClock` simulates a change of the machine's clock. Only the wall clock
 * moves, since no operating system allows setting the monotonic one.
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
// Start time of the process, which setting the clock does not change.
Object.defineProperty(performance, 'timeOrigin', {
  value: trueOrigin + shiftAtStart,
});

/** @param milliseconds how far the wall clock is ahead of the true one */
export function setClock(milliseconds) {
  shift = milliseconds;
}
