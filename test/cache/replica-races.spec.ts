/**
 * Every order in which two updates of one row, their deliveries, reads that load from a
 * replica, what it replays, and the questions how far it has come can interleave. Orders
 * that lead to the same state are followed once.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { L2Tier, NearCache, resolveNearCache } from '../../lib/cache/index.js';
import {
  entity,
  Instance,
  type CommitPosition,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import {
  ReplicaMarks,
  Replicas,
  type Replica,
} from '../../lib/replica/index.js';
import { Fences, type Fence } from '../../lib/stream/index.js';
import { MemoryL2Store } from '../../lib/transport/index.js';
import { turn } from './setup.js';

const KEY = 'user:1';
const START = '1-0';
/** Timers up to this many milliseconds are pauses between questions; others are deadlines. */
const LONGEST_PAUSE = 500;

/** The end of the log when the row has this version. */
const logEnd = (version: number): number => 2 * (version + 1);
/** The beginning of the record that commits this version. */
const commitOf = (version: number): number => logEnd(version - 1);

/** Protections that are switched off, to prove that the test can fail. */
interface Faults {
  /** Added to what the replica tells; 1 makes `>` a `>=`. */
  readonly told?: number;
  /** Added to the positions in messages. */
  readonly carried?: number;
  /** The primary's answer was given before anything was committed. */
  readonly askedBefore?: boolean;
  /** Marks may end at any time. */
  readonly byTime?: boolean;
  /** Messages mark some time after they have evicted. */
  readonly late?: boolean;
  readonly unmarkedStart?: boolean;
  /** Transactions read through the cache. */
  readonly noBypass?: boolean;
}

interface Setup {
  readonly instances: 1 | 2;
  /** Reads of each instance that load the row of now. */
  readonly reads: number;
  /** Whether one read of the first instance is in a transaction with an old snapshot. */
  readonly transaction?: boolean;
  /** Whether what is marked is loaded from the primary. */
  readonly primary?: boolean;
  /** Which messages have the position of their commit. */
  readonly positions: readonly [boolean, boolean];
  /** Whether the last instance may start after messages. */
  readonly late?: boolean;
}

interface Journaled {
  readonly message: InvalidationMessage;
  readonly version: number;
}

interface Step {
  readonly text: string;
  take(): void;
}

/** Pauses of the instance that acts; nothing here waits for time. */
let pauses: Step[] = [];

beforeEach(() => {
  vi.spyOn(performance, 'now').mockReturnValue(0);
  vi.stubGlobal('setTimeout', (take: () => void, ms: number) => {
    if (ms <= LONGEST_PAUSE) pauses.push({ text: 'pause', take });
    return {
      unref: () => ({}),
      ref: () => ({}),
      [Symbol.toPrimitive]: () => 0,
    };
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

class FaultyMarks extends ReplicaMarks {
  readonly delayed: InvalidationMessage[] = [];
  faults: Faults = {};

  override begin(): void {
    if (!this.faults.unmarkedStart) super.begin();
  }

  override add(message: InvalidationMessage): void {
    if (this.faults.late) this.delayed.push(message);
    else super.add(message);
  }

  mark(): void {
    super.add(this.delayed.shift()!);
  }

  get state(): unknown[] {
    const marks = [...(this.pending?.entries ?? [])];
    const positions = marks.map(([name, { value, isAsked }]) => [
      name,
      value,
      isAsked,
    ]);
    return [positions, this.delayed.length];
  }
}

/** A read of the row, which loads from wherever the cache tells it to. */
class Reader {
  phase: 'idle' | 'reading' | 'loading' | 'answering' | 'done' = 'idle';
  #row = 0;
  #query: () => number = () => 0;
  #answer: (version: number) => void = () => undefined;
  wentBack = false;

  constructor(
    private readonly node: Node,
    /** Version that its transaction sees; `null` outside of transactions. */
    private snapshot: number | 'none' | null,
    private readonly bypasses: boolean,
  ) {}

  get steps(): Step[] {
    const { phase } = this;
    if (this.snapshot === 'none') {
      return [{ text: 'begins a transaction', take: () => this.#begin() }];
    }
    if (phase === 'idle') return [{ text: 'reads', take: () => this.#read() }];
    if (phase === 'loading')
      return [{ text: 'queries', take: () => this.#queried() }];
    if (phase === 'answering') {
      return [{ text: 'has loaded', take: () => this.#answer(this.#row) }];
    }
    return [];
  }

  get state(): unknown[] {
    return [this.phase, this.#row, this.snapshot, this.wentBack];
  }

  #begin(): void {
    this.snapshot = this.node.world.row;
  }

  #read(): void {
    const { node, snapshot } = this;
    this.phase = 'reading';
    const load = (query: () => number) => (): Promise<number> => {
      this.phase = 'loading';
      this.#query = query;
      return new Promise((resolve) => (this.#answer = resolve));
    };
    if (typeof snapshot === 'number') {
      const read = (): Promise<number> =>
        node.get(
          load(() => snapshot),
          null,
        );
      const reading = this.bypasses ? InvalidationScope.run(read) : read();
      void reading.then(() => (this.phase = 'done'));
      return;
    }
    const atLeast = node.owes ? node.told : 0;
    const { world } = node;
    void node
      .get(
        load(() => world.replayed),
        load(() => world.row),
      )
      .then((version) => {
        this.phase = 'done';
        this.wentBack = version < atLeast;
      });
  }

  #queried(): void {
    this.phase = 'answering';
    this.#row = this.#query();
  }
}

class Node {
  readonly #fences = new Fences();
  readonly #taken: Fence[] = [];
  readonly #cache: NearCache<number>;
  readonly #tier: L2Tier<number> | null;
  readonly #marks: FaultyMarks;
  readonly #replicas: Replicas;
  readonly #pauses: Step[] = [];
  readonly #questions: Step[] = [];
  readonly readers: readonly Reader[];
  #position = START;
  isUp = true;
  heard = 0;
  /** The newest version among the messages so far. */
  told = 0;

  constructor(
    readonly world: World,
    private readonly setup: Setup,
    private readonly faults: Faults,
    readers: (node: Node) => readonly Reader[],
  ) {
    const fences = this.#fences;
    const taken = this.#taken;
    const position = (): string => this.#position;
    const source = {
      fence: () => {
        const fence = fences.take();
        taken.push(fence);
        return fence;
      },
      fenceAt: (offset: string) => fences.takenAt(offset),
      trackPositions: () => fences.trackPositions(),
      recall: async () => undefined,
      isInJournal: async () => true,
      foreign: false,
      bypass: false,
    };
    const live = Object.defineProperty(source, 'position', { get: position });
    const replica = this.#replica();
    const options = resolveNearCache<number>({ max: 4, l2: {}, replica });
    const fail = (error: unknown): never => {
      throw error;
    };
    const report = { report: fail, log: fail };
    this.#replicas = new Replicas(report as never);
    this.#marks = new FaultyMarks(this.#replicas.of(replica), 'user:', false);
    this.#marks.faults = faults;
    this.#tier =
      setup.instances === 1
        ? null
        : new L2Tier<number>(
            '',
            'user:',
            new MemoryL2Store(world.entries),
            options.l2!,
            live as never,
            { isLeft: async () => false },
            fail,
          );
    fences.reached(START, false);
    this.#cache = new NearCache<number>(
      'User',
      options,
      live as never,
      this.#tier,
      undefined,
      null,
      null,
      undefined,
      this.#marks,
    );
    this.readers = readers(this);
  }

  /** Whether a read that begins now must not get an older row than was invalidated. */
  get owes(): boolean {
    if (this.setup.primary === true) return true;
    return this.#marks.pending === null && this.#marks.delayed.length === 0;
  }

  get(
    load: () => Promise<number>,
    primary: (() => Promise<number>) | null,
  ): Promise<number> {
    return this.setup.primary === true && primary !== null
      ? this.#cache.get('1', load, primary)
      : this.#cache.get('1', load);
  }

  start(): void {
    this.isUp = true;
    const { journal } = this.world;
    this.heard = journal.length;
    this.told = Math.max(0, ...journal.map(({ version }) => version));
    this.#position = journal.at(-1)?.message.offset ?? START;
    this.#fences.reached(this.#position, false);
    // As a load of another row does.
    this.#marks.begin();
  }

  /** Has asked how far the replica is, before anything is committed. */
  async settle(): Promise<void> {
    if (!this.isUp) return;
    this.#marks.begin();
    this.collect();
    while (this.#pauses.length > 0 || this.#questions.length > 0) {
      for (const { take } of this.#pauses.splice(0)) take();
      for (const { take } of this.#questions.splice(0)) take();
      await turn();
      this.collect();
    }
  }

  hear({ message, version }: Journaled): void {
    this.heard++;
    this.#fences.record(message);
    this.#cache.apply(message);
    this.told = Math.max(this.told, version);
    this.#position = message.offset!;
    this.#fences.reached(this.#position, true);
  }

  /** Moves pauses that have begun since here. */
  collect(): void {
    this.#pauses.push(...pauses);
    pauses = [];
  }

  get steps(): Step[] {
    const { world } = this;
    if (!this.isUp) return [{ text: 'starts', take: () => this.start() }];
    const steps = this.readers.flatMap((reader, at) =>
      reader.steps.map(({ text, take }) => ({ text: `${at} ${text}`, take })),
    );
    const next = world.journal[this.heard];
    if (next !== undefined) {
      steps.push({ text: 'hears', take: () => this.hear(next) });
    }
    if (this.#pauses.length > 0 && this.#mayLearn) {
      steps.push({ text: 'asks', take: () => this.#pauses.shift()!.take() });
    }
    for (const [at, { text, take }] of this.#questions.entries()) {
      const answer = (): void => {
        this.#questions.splice(at, 1);
        take();
      };
      steps.push({ text: `is told ${text.split(' ')[0]}`, take: answer });
    }
    if (this.#marks.delayed.length > 0) {
      steps.push({ text: 'marks', take: () => this.#marks.mark() });
    }
    if (this.faults.byTime && this.#marks.pending !== null) {
      steps.push({
        text: 'forgets',
        take: () => this.#marks.forget(() => true),
      });
    }
    return steps;
  }

  /** Versions that this instance would serve now, from memory and from the second tier. */
  get served(): number[] {
    const entry = this.world.entries.get(KEY)?.toString();
    const [offset = ''] = entry?.split('\n') ?? [];
    const isRight = this.#fences.takenAt(offset)?.holds(KEY) === true;
    const cached = this.#cache.peek('1');
    return [
      ...(cached === undefined ? [] : [cached]),
      ...(isRight ? [Number(entry!.split('\nv')[1])] : []),
    ];
  }

  get isStale(): boolean {
    return this.isUp && this.served.some((version) => version < this.told);
  }

  get state(): unknown[] {
    return [
      this.isUp,
      this.heard,
      this.told,
      this.#cache.peek('1'),
      this.#cache.stats.loads > 0,
      this.readers.map(({ state }) => state),
      this.#marks.state,
      this.#pauses.length,
      this.#questions.map(({ text }) => text),
      this.#taken.map((fence) => fence.holds(KEY)),
      this.world.offsets.map((at) => this.#fences.takenAt(at)?.holds(KEY)),
    ];
  }

  close(): void {
    this.#replicas.stop();
    this.#tier?.close();
  }

  /** A question whose answer could change nothing is not asked. */
  get #mayLearn(): boolean {
    const told = logEnd(this.world.replayed) + (this.faults.told ?? 0);
    const [positions] = this.#marks.state as [[string, string | null][]];
    return positions.some(
      ([, value]) => value === null || Number(value) < told,
    );
  }

  #replica(): Replica {
    const { world, faults } = this;
    const ask = (text: string, answer: () => number): Promise<string> =>
      new Promise((resolve) => {
        const take = (): void => resolve(String(answer()));
        this.#questions.push({ text, take });
      });
    return {
      kind: 'db',
      applied: () =>
        ask('applied', () => logEnd(world.replayed) + (faults.told ?? 0)),
      isBefore: (one, other) => Number(one) < Number(other),
      current: () => {
        const row = faults.askedBefore ? 0 : world.row;
        return ask(`current ${row}`, () => logEnd(row) - 1);
      },
    };
  }
}

class World {
  readonly entries = new Map<string, Buffer>();
  readonly journal: Journaled[] = [];
  readonly #instance = new Instance('test');
  readonly #committed: number[] = [];
  readonly #published: number[] = [];
  readonly nodes: readonly Node[];
  row = 0;
  replayed = 0;

  constructor(
    private readonly setup: Setup,
    private readonly faults: Faults,
  ) {
    const bypasses = !faults.noBypass;
    this.nodes = Array.from({ length: setup.instances }, (_, at) => {
      const isInTransaction = at === 0 && setup.transaction === true;
      const node = new Node(this, setup, faults, (self) => [
        ...Array.from(
          { length: setup.reads },
          () => new Reader(self, null, true),
        ),
        ...(isInTransaction ? [new Reader(self, 'none', bypasses)] : []),
      ]);
      if (setup.late === true) node.isUp = at !== setup.instances - 1;
      return node;
    });
  }

  get offsets(): string[] {
    return [START, ...this.journal.map(({ message }) => message.offset!)];
  }

  /** Steps that are possible now, by name. */
  steps(): Map<string, () => void> {
    const steps = new Map<string, () => void>();
    for (const writer of [0, 1]) {
      const version = this.#committed[writer];
      if (version === undefined) {
        steps.set(`W${writer} commits`, () => {
          this.#committed[writer] = ++this.row;
        });
      } else if (!this.#published.includes(writer)) {
        steps.set(`W${writer} publishes`, () => this.#publish(writer, version));
      }
    }
    if (this.replayed < this.row) steps.set('replays', () => this.replayed++);
    for (const [at, node] of this.nodes.entries()) {
      for (const { text, take } of node.steps) {
        steps.set(`${'AB'[at]} ${text}`, take);
      }
    }
    return steps;
  }

  async step(name: string): Promise<void> {
    this.steps().get(name)!();
    // Effects of the step run before the next one.
    await turn();
    this.nodes.find((_, at) => name.startsWith('AB'[at]!))?.collect();
  }

  get state(): string {
    return JSON.stringify([
      this.row,
      this.replayed,
      this.#committed,
      this.#published,
      [...this.entries].map(String),
      this.nodes.map((node) => node.state),
    ]);
  }

  close(): void {
    for (const node of this.nodes) node.close();
  }

  #publish(writer: number, version: number): void {
    const previous = this.offsets.at(-1)!;
    const offset = `${this.offsets.length + 1}-0`;
    const db = commitOf(version) + (this.faults.carried ?? 0);
    const at: CommitPosition | null = this.setup.positions[writer]
      ? { db: String(db) }
      : null;
    const stamped = this.#instance.stamp(entity('User', 1));
    const message = { ...stamped, own: false, offset, previous, at };
    this.journal.push({ message, version });
    this.#published.push(writer);
  }
}

interface Found {
  states: number;
  ends: number;
  /** States in which an instance would serve a row older than what it was told of. */
  stale: number;
  /** States in which a read returned such a row. */
  wentBack: number;
}

async function explore(
  setup: Setup,
  faults: Faults,
  limit: number,
  isEnough: (found: Found) => boolean = () => false,
): Promise<Found> {
  const found: Found = { states: 0, ends: 0, stale: 0, wentBack: 0 };
  const seen = new Set<string>();
  const paths: string[][] = [[]];
  const next = inRandomOrder(SEED);
  while (paths.length > 0 && found.states < limit && !isEnough(found)) {
    const path = next(paths);
    const world = new World(setup, faults);
    for (const node of world.nodes) await node.settle();
    for (const name of path) await world.step(name);
    if (!seen.has(world.state)) {
      seen.add(world.state);
      for (const step of judge(world, found)) paths.push([...path, step]);
    }
    world.close();
  }
  return found;
}

/** @returns the steps that may follow */
function judge(world: World, found: Found): string[] {
  const { nodes } = world;
  found.states++;
  if (nodes.some(({ isStale }) => isStale)) found.stale++;
  const readers = nodes.flatMap((node) => node.readers);
  if (readers.some(({ wentBack }) => wentBack)) found.wentBack++;
  const steps = [...world.steps().keys()];
  if (steps.length === 0) found.ends++;
  return steps;
}

/** Mostly the deepest path first, sometimes any; the order depends only on the seed. */
function inRandomOrder(seed: number): (paths: string[][]) => string[] {
  let state = seed;
  return (paths) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const at =
      state % 4 === 0 ? (state >>> 8) % paths.length : paths.length - 1;
    return paths.splice(at, 1)[0]!;
  };
}

const SEED = 2;
/** States of each exploration: a part of all, but where there are fewer. */
const STATES = process.env['RACES'] === 'all' ? 6_000 : 600;
const FEWEST = Math.min(STATES, 2_000);
/** Every fault below is found within these; most of them within 900. */
const FAULTY_STATES = 3_000;
const TIMEOUT = 600_000;

const BOTH = [true, true] as const;
const ONE: Setup = { instances: 1, reads: 1, positions: BOTH };

describe('Loads from a replica: two updates in any order', () => {
  it.each<[string, Setup]>([
    ['two reads of one instance', { ...ONE, reads: 2 }],
    [
      'of two reads, a loader of the primary',
      { ...ONE, reads: 2, primary: true },
    ],
    ['of messages without a position', { ...ONE, positions: [true, false] }],
    ['a transaction with an old snapshot', { ...ONE, transaction: true }],
    ['two instances with a second tier', { ...ONE, instances: 2 }],
    ['of which one starts late', { ...ONE, instances: 2, late: true }],
  ])(
    'never keep a stale entry, and no read goes back: %s',
    async (_, setup) => {
      const found = await explore(setup, {}, STATES);
      expect(found).toMatchObject({ stale: 0, wentBack: 0 });
      expect(found.states).toBeGreaterThanOrEqual(FEWEST);
    },
    TIMEOUT,
  );

  it.each<[string, Faults, Setup]>([
    ['passes a position with >= for >', { told: 1 }, ONE],
    ['forgets marks by time', { byTime: true }, ONE],
    ['marks after a load', { late: true }, ONE],
    ['starts without a mark', { unmarkedStart: true }, { ...ONE, late: true }],
    [
      'has asked before the message',
      { askedBefore: true },
      { ...ONE, positions: [false, false] },
    ],
    ['is told a position of before the commit', { carried: -1 }, ONE],
    [
      'keeps loads of snapshots',
      { noBypass: true },
      { ...ONE, transaction: true },
    ],
  ])(
    'keep stale entries if an instance %s (the test can fail)',
    async (_, faults, setup) => {
      const isEnough = ({ stale }: Found): boolean => stale > 0;
      const found = await explore(setup, faults, FAULTY_STATES, isEnough);
      expect(found.stale).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
