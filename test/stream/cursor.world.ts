import * as fc from 'fast-check';
import { compareOffsets, JOURNAL_START } from '../../lib/message/index.js';
import {
  DeliveryCursor,
  type CursorLimits,
  type Journaled,
} from '../../lib/stream/index.js';

/** A message; `id` is its number among all published ones. */
export interface Entry extends Journaled {
  readonly id: number;
}

/**
 * A widened message, which the cursor delivered in place of all messages until
 * then.
 */
export class Fresh {
  constructor(
    readonly cause: 'begun' | 'widened',
    /** Number of messages that had been published. */
    readonly covers: number,
  ) {}
}

/** A step of a schedule. Numbers choose among the possibilities of the moment. */
export type Step =
  | { readonly kind: 'publish' | 'deliver' | 'lose'; readonly count: number }
  | { readonly kind: 'duplicate' | 'overtake'; readonly at: number }
  | { readonly kind: 'disconnect' | 'subscribe' | 'heartbeat' }
  | { readonly kind: 'execute' | 'answer' | 'fail' }
  | { readonly kind: 'trim'; readonly keep: number }
  | { readonly kind: 'remove' }
  | {
      readonly kind: 'forge';
      readonly offset: 'known' | 'soon' | 'far';
      readonly previous: 'position' | 'tail' | 'known' | 'claimed';
      readonly at: number;
    }
  | {
      readonly kind: 'forge-entry';
      readonly previous: 'position' | 'tail' | 'known';
      readonly keep: number;
      readonly at: number;
    }
  | {
      readonly kind: 'failover';
      readonly lost: number;
      /** Clock of the new server, relative to the old one. */
      readonly skew: number;
    };

export type StepKind = Step['kind'];

/** A query of the journal, and the answer of the server. */
interface Reading {
  readonly from: string | null;
  readonly count: number;
  answer: readonly Entry[] | string | null;
}

const PAGE = 4;

/**
 * A journal, a channel and a cursor between them, of which an adversary may
 * choose each step. The journal is read page by page, as `CatchUp` does:
 * anything may happen between a query, the server's answer and its arrival.
 */
export class CursorWorld {
  /** Messages that the cursor delivered, in order. */
  readonly said: (Entry | Fresh)[] = [];
  readonly published: Entry[] = [];
  replays = 0;
  forged = 0;
  readings = 0;
  /** Messages that are in no journal any more, and whose absence no chain reveals. */
  readonly forgotten = new Set<number>();
  readonly cursor: DeliveryCursor<Entry>;

  #journal: Entry[] = [];
  #clock = 1_000;
  #claimed: string = JOURNAL_START;
  /** Messages in flight to the current subscription; `null` while there is none. */
  #channel: Entry[] | null = null;
  #catchUp: Generator<Reading, void, Reading> | null = null;
  #reading: Reading | null = null;
  #first = true;

  constructor(limits: CursorLimits) {
    this.cursor = new DeliveryCursor<Entry>(
      {
        deliver: (entry, replayed) => {
          if (replayed) this.replays++;
          this.said.push(entry);
        },
        widen: () => this.#afresh('widened'),
      },
      limits,
      () => 1,
      (one, other) => one.id === other.id,
    );
  }

  get tail(): string {
    return this.#journal.at(-1)?.offset ?? JOURNAL_START;
  }

  get quiet(): boolean {
    return this.#catchUp === null && !this.cursor.catchingUp;
  }

  take(step: Step): void {
    const channel = this.#channel;
    switch (step.kind) {
      case 'publish':
        for (let n = 0; n < step.count; n++) this.#publish();
        break;
      case 'deliver':
        for (let n = 0; n < step.count && this.#channel === channel; n++) {
          this.#hear(channel?.shift());
        }
        break;
      case 'overtake':
        if (channel === null || channel.length === 0) break;
        this.#hear(channel.splice(step.at % channel.length, 1)[0]);
        break;
      case 'duplicate':
        if (channel === null || channel.length === 0) break;
        this.#hear(channel[step.at % channel.length]);
        break;
      case 'lose':
        channel?.splice(0, step.count);
        break;
      case 'disconnect':
        this.#disconnect();
        break;
      case 'subscribe':
        if (channel !== null) break;
        this.#channel = [];
        this.#stopReading();
        this.#startReading();
        break;
      case 'execute':
        this.#execute();
        break;
      case 'answer':
        this.#execute();
        if (this.#reading !== null) this.#advance(this.#reading);
        break;
      case 'fail':
        this.#fail();
        break;
      case 'trim':
        this.#journal = this.#journal.slice(-step.keep);
        break;
      case 'remove':
        this.#remove();
        break;
      case 'forge':
        this.#forge(step);
        break;
      case 'forge-entry':
        this.#forgeEntry(step);
        break;
      case 'failover':
        this.#failover(step.lost, step.skew);
        break;
      case 'heartbeat':
        if (channel !== null && this.tail !== this.cursor.position) {
          this.#startReading();
        }
        break;
    }
  }

  /**
   * Settles without the adversary: messages in flight arrive or are lost, the
   * subscription stays, and heartbeats query the journal.
   *
   * @returns the number of readings of the journal
   */
  settle(arrives: boolean): number {
    const before = this.readings;
    this.take({ kind: 'subscribe' });
    this.take(
      arrives
        ? { kind: 'deliver', count: 1_000 }
        : { kind: 'lose', count: 1_000 },
    );
    this.#readToTheEnd();
    // The first heartbeat may find where a lost journal ended.
    for (let beat = 0; beat < 2; beat++) {
      this.take({ kind: 'heartbeat' });
      this.#readToTheEnd();
    }
    return this.readings - before;
  }

  #afresh(cause: Fresh['cause']): void {
    this.said.push(new Fresh(cause, this.published.length));
  }

  #readToTheEnd(): void {
    for (let n = 0; this.#reading !== null; n++) {
      if (n > 1_000) throw new Error('It catches up for ever.');
      this.take({ kind: 'answer' });
    }
  }

  #publish(): void {
    const last = this.#journal.at(-1);
    const id = this.published.length;
    // The publish script never assigns an offset that another message had.
    const time = Math.max(
      this.#clock++,
      Number(last?.offset.split('-')[0] ?? 0),
    );
    const entry = { id, offset: `${time}-${10 + id}`, previous: this.tail };
    this.published.push(entry);
    this.#journal.push(entry);
    this.#channel?.push(entry);
  }

  #hear(entry: Entry | undefined): void {
    if (entry === undefined) return;
    if (this.cursor.advance(entry.previous, entry.offset, entry)) {
      this.said.push(entry);
      return;
    }
    this.cursor.receive(entry);
    if (this.cursor.catchingUp) this.#startReading();
  }

  #disconnect(): void {
    if (this.#channel === null) return;
    this.#channel = null;
    this.#stopReading();
    this.#first = false;
    this.cursor.lost();
  }

  #remove(): void {
    // Two empty journals look alike: an instance at the beginning of one cannot
    // tell the next from it, and learns nothing of the entries of the first
    // one.
    if (this.cursor.position === JOURNAL_START) {
      for (const { id } of this.published) this.forgotten.add(id);
    }
    this.#journal = [];
  }

  /** PUBLISH: the message follows all earlier ones, as on one server. */
  #forge({ offset, previous, at }: Step & { kind: 'forge' }): void {
    if (this.#channel === null) return;
    const places = {
      known: this.#known(at),
      soon: this.#soon(at),
      far: '99999999999999-0',
    };
    const claimed = this.#claimed;
    this.#claimed = places[offset];
    this.#channel.push({
      id: -++this.forged,
      offset: places[offset],
      previous: { ...this.#predecessors(at), claimed }[previous],
    });
  }

  /** XADD, which may trim earlier entries. */
  #forgeEntry({ previous, keep, at }: Step & { kind: 'forge-entry' }): void {
    // An instance at the beginning of a journal cannot recognise its first entry.
    if (this.cursor.position === JOURNAL_START) return;
    const offset = this.#soon(at);
    const id = -++this.forged;
    this.#journal.push({
      id,
      offset,
      previous: this.#predecessors(at)[previous],
    });
    this.#journal = this.#journal.slice(-keep);
  }

  #predecessors(at: number): Record<'position' | 'tail' | 'known', string> {
    return {
      position: this.cursor.position ?? JOURNAL_START,
      tail: this.tail,
      known: this.#known(at),
    };
  }

  #known(at: number): string {
    const { length } = this.published;
    return this.published[length - 1 - (at % length)]?.offset ?? JOURNAL_START;
  }

  #soon(at: number): string {
    const time = parseInt(this.tail);
    return `${Math.max(time, this.#clock) + 1 + at}-9`;
  }

  #failover(lost: number, skew: number): void {
    const kept = Math.max(0, this.#journal.length - lost);
    // The publisher of these messages is responsible for them.
    for (const { id } of this.#journal.slice(kept)) this.forgotten.add(id);
    this.#journal = this.#journal.slice(0, kept);
    this.#clock = Math.max(1, this.#clock + skew);
    this.#disconnect();
  }

  #stopReading(): void {
    this.#catchUp = null;
    this.#reading = null;
  }

  #startReading(): void {
    this.cursor.doubt();
    if (this.#catchUp !== null) return;
    this.#catchUp = this.#readJournal();
    this.#advance(null);
  }

  #advance(answered: Reading | null): void {
    const { done, value } = this.#catchUp!.next(answered!);
    if (done === true) return this.#stopReading();
    this.readings++;
    this.#reading = value;
  }

  #execute(): void {
    const reading = this.#reading;
    if (reading === null || reading.answer !== null) return;
    const { from, count } = reading;
    reading.answer =
      from === null
        ? this.tail
        : this.#journal
            .filter(({ offset }) => compareOffsets(offset, from) >= 0)
            .slice(0, count);
  }

  /** Fails the query, which gets no answer in time. */
  #fail(): void {
    if (this.#reading === null) return;
    this.#stopReading();
    if (!this.#first) this.cursor.restart(null);
  }

  *#readJournal(): Generator<Reading, void, Reading> {
    const { cursor } = this;
    do {
      const from = cursor.position;
      if (from === null) {
        const tail = yield ask(null);
        if (this.#first) {
          // PING: the messages before that end have been delivered.
          this.take({ kind: 'deliver', count: 1_000 });
          cursor.begin(tail.answer as string);
          // Messages from before the subscription do not concern the instance.
          this.#afresh('begun');
        } else cursor.restart(tail.answer as string);
        this.#first = false;
        continue;
      }
      cursor.beginReading();
      const page = (yield ask(from)).answer as readonly Entry[];
      if (cursor.position !== from) continue;
      if (cursor.replay(page, page.length < PAGE)) continue;
      const tail = yield ask(null);
      cursor.restart(tail.answer as string);
    } while (cursor.catchingUp || cursor.position === null);
  }
}

function ask(from: string | null): Reading {
  return { from, count: PAGE, answer: null };
}

const few = fc.integer({ min: 1, max: 4 });
const any = fc.nat({ max: 9 });

const STEPS: {
  readonly [K in Exclude<StepKind, 'forge' | 'forge-entry'>]: [
    weight: number,
    fc.Arbitrary<Step>,
  ];
} = {
  publish: [12, fc.record({ kind: fc.constant('publish'), count: few })],
  deliver: [10, fc.record({ kind: fc.constant('deliver'), count: few })],
  lose: [4, fc.record({ kind: fc.constant('lose'), count: few })],
  overtake: [3, fc.record({ kind: fc.constant('overtake'), at: any })],
  duplicate: [3, fc.record({ kind: fc.constant('duplicate'), at: any })],
  disconnect: [2, fc.constant({ kind: 'disconnect' })],
  subscribe: [5, fc.constant({ kind: 'subscribe' })],
  heartbeat: [2, fc.constant({ kind: 'heartbeat' })],
  execute: [6, fc.constant({ kind: 'execute' })],
  answer: [10, fc.constant({ kind: 'answer' })],
  fail: [1, fc.constant({ kind: 'fail' })],
  trim: [2, fc.record({ kind: fc.constant('trim'), keep: few })],
  remove: [1, fc.constant({ kind: 'remove' })],
  failover: [
    1,
    fc.record({
      kind: fc.constant('failover'),
      lost: fc.nat({ max: 5 }),
      skew: fc.constantFrom(0, 10, -10, 1_000, -1_000),
    }),
  ],
};

const DISORDER: readonly StepKind[] = [
  'lose',
  'overtake',
  'duplicate',
  'remove',
  'failover',
];

/** Forgeries with the right to PUBLISH, and with the right to XADD. */
const FORGERIES = {
  forge: {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('forge' as const),
      offset: fc.constantFrom('known', 'soon', 'far'),
      previous: fc.constantFrom('position', 'tail', 'known', 'claimed'),
      at: any,
    }),
  },
  'forge-entry': {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('forge-entry' as const),
      previous: fc.constantFrom('position', 'tail', 'known'),
      keep: few,
      at: any,
    }),
  },
};

/**
 * A schedule with one kind of forgery among its steps, on one server that keeps
 * its journal: a forged message in the place of a message that was lost or
 * overtaken would be believed.
 */
export function hostileSchedule(
  forgery: keyof typeof FORGERIES,
): fc.Arbitrary<Step[]> {
  const honest = Object.entries(STEPS)
    .filter(([kind]) => !DISORDER.includes(kind as StepKind))
    .map(([, [weight, arbitrary]]) => ({ weight, arbitrary }));
  return fc.array(fc.oneof(...honest, FORGERIES[forgery]), {
    minLength: 1,
    maxLength: 120,
    size: 'max',
  });
}

/** A schedule of any interleaving, without the given steps. */
export function schedule(...without: StepKind[]): fc.Arbitrary<Step[]> {
  const kinds = Object.entries(STEPS).filter(
    ([kind]) => !without.includes(kind as StepKind),
  );
  return fc.array(
    fc.oneof(
      ...kinds.map(([, [weight, arbitrary]]) => ({ weight, arbitrary })),
    ),
    { minLength: 1, maxLength: 120, size: 'max' },
  );
}
