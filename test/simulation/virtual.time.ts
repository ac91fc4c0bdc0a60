import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Random } from './random.js';

interface Event {
  readonly at: number;
  readonly order: number;
  /** `null` after it was cancelled. */
  action: (() => void) | null;
}

/** Return value of `setTimeout` in Node, as far as the simulated code uses it. */
class Timer {
  constructor(public event: Event) {}

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

const EPOCH = Date.UTC(2025, 10, 22, 10);

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  random: Math.random,
  dateNow: Date.now,
  randomUUID: crypto.randomUUID,
  stackTraceLimit: Error.stackTraceLimit,
};

/** Base of the monotonic clock, which never goes back within a process. */
let monotonicBase = performance.now();

/**
 * Virtual time: events happen one after the other, each followed by all of its
 * promises and ticks. Between `install` and `uninstall`, it controls the
 * timers, clocks and random numbers of the whole process.
 */
export class VirtualTime {
  now = 0;
  events = 0;
  /** Called when an event and what follows from it are over. */
  afterEvent: (() => void) | null = null;
  /** Difference between the wall clock and the monotonic one, in milliseconds. */
  wallShift = 0;
  #heap: Event[] = [];
  #order = 0;
  /** Random numbers of the current event, created at its first draw. */
  #drawn: Random | null = null;

  constructor(private readonly seed: number) {}

  install(): void {
    const base = monotonicBase;
    const at = (after = 0): number => this.now + Math.max(1, after);
    const fake = {
      setTimeout: (action: () => void, after?: number) =>
        new Timer(this.at(at(after), action)),
      setInterval: (action: () => void, every: number) => {
        const again = (): void => {
          timer.event = this.at(at(every), again);
          action();
        };
        const timer = new Timer(this.at(at(every), again));
        return timer;
      },
      clearTimeout: clear,
      clearInterval: clear,
      setImmediate: (action: () => void) =>
        new Timer(this.at(this.now, action)),
    };
    Object.assign(globalThis, fake);
    performance.now = () => base + this.now;
    Date.now = () => Math.floor(EPOCH + this.now + this.wallShift);
    Math.random = () => this.#random.next();
    crypto.randomUUID = () =>
      this.#random.uuid() as ReturnType<typeof crypto.randomUUID>;
    syncBuiltinESMExports();
    // Thousands of errors whose stacks are not read.
    Error.stackTraceLimit = 0;
  }

  uninstall(): void {
    const { random, dateNow, randomUUID, stackTraceLimit, ...timers } = real;
    Object.assign(globalThis, timers);
    // The own property hides the one of the prototype.
    delete (performance as { now?: unknown }).now;
    Date.now = dateNow;
    Math.random = random;
    Error.stackTraceLimit = stackTraceLimit;
    crypto.randomUUID = randomUUID;
    syncBuiltinESMExports();
    monotonicBase += this.now + 1_000;
  }

  /**
   * Random numbers by event, so that draws of other code do not change the next
   * events.
   */
  get #random(): Random {
    this.#drawn ??= new Random(
      this.seed ^ Math.imul(this.events + 1, 0x9e3779b1),
    );
    return this.#drawn;
  }

  at(time: number, action: () => void): Event {
    const event = { at: time, order: this.#order++, action };
    push(this.#heap, event);
    return event;
  }

  after(delay: number, action: () => void): Event {
    return this.at(this.now + delay, action);
  }

  /** Runs all events until a time. */
  async run(until: number): Promise<void> {
    for (;;) {
      const [next] = this.#heap;
      if (next === undefined || next.at > until) break;
      pop(this.#heap);
      const { action } = next;
      if (action === null) continue;
      next.action = null;
      this.now = next.at;
      this.events++;
      this.#drawn = null;
      action();
      await settled();
      this.afterEvent?.();
    }
    this.now = until;
  }
}

/** Waits until every tick and every promise of an event has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => real.setImmediate(resolve));
}

function clear(timer: unknown): void {
  // A timer that was set before the clocks were exchanged is a real one.
  if (timer instanceof Timer) timer.event.action = null;
  else real.clearTimeout(timer as NodeJS.Timeout | undefined);
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Event[], event: Event): void {
  let index = heap.length;
  heap.push(event);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = event;
}

function pop(heap: Event[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) {
      child++;
    }
    if (!isBefore(heap[child]!, last)) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
}
