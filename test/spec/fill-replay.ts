/** Replays traces of `fill.pml` against the real near cache and second tier. */
import { resolveNearCache } from '../../lib/cache/index.js';
import type { L2Tier, NearCache } from '../../lib/cache/index.js';
import {
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import type { Fences } from '../../lib/stream/index.js';
import type { L2Store, MemoryL2Store } from '../../lib/transport/index.js';
import { SIZES } from './fill-traces.mjs';

/** The classes under test: the library's own, or faulty ones. */
export interface Code {
  readonly NearCache: typeof NearCache;
  readonly L2Tier: typeof L2Tier;
  readonly Fences: typeof Fences;
  readonly MemoryL2Store: typeof MemoryL2Store;
}

const KEY = 'user:1';
/** Instance 0 publishes the first change; another service publishes the second one. */
const OWN = 1;
const CLAIMED = 2 + SIZES.CHANGES + SIZES.OTHERS;
const OPTIONS = resolveNearCache<number>({ max: 4, l2: { timeout: 50 } });
/** Microtasks in which the effects of an event end: no timer runs within a trace. */
const TURNS = 20;
const MESSAGE_TURNS = 4;

const instance = new Instance('spec');
const CHANGE = instance.stamp(entity('User', 1));
const OTHER = instance.stamp(entity('Post', 1));
const EVERYTHING = instance.widened('missed');

/** A command to the second tier that waits for its turn. */
interface Command {
  /** Of a put; a put that the library left out has none. */
  readonly entry?: Buffer;
  execute(): void;
}

const NOTHING: Command = { execute: () => undefined };

/** The connection of one instance; the trace executes its commands. */
class Connection implements L2Store {
  readonly opened = Promise.resolve();
  reply = (): void => undefined;
  put_: Command = NOTHING;

  constructor(
    private readonly world: World,
    private readonly at: number,
  ) {}

  open(): void {}
  close(): void {}

  get(key: string): Promise<Buffer | null> {
    if (key !== KEY) return Promise.resolve(null);
    const entry = this.world.entry ?? null;
    return new Promise((resolve) => (this.reply = () => resolve(entry)));
  }

  async put(key: string, offset: string, entry: Buffer): Promise<void> {
    const execute = (): void => void this.world.store.put(key, offset, entry);
    this.put_ = { entry, execute };
  }

  async drop(key: string, before: string): Promise<void> {
    const execute = (): void => void this.world.store.drop(key, before);
    this.world.drops[this.at] = { execute };
  }

  async lease(): Promise<boolean> {
    return false;
  }

  async *scan(): AsyncIterable<string[]> {}
  async write(): Promise<void> {}
}

/** One running instance, with at most one load. */
class Node {
  readonly connection: Connection;
  readonly fences: Fences;
  readonly cache: NearCache<number>;
  readonly #tier: L2Tier<number>;
  /** Newest version among the invalidations that it has applied. */
  applied: number;
  position = 0;
  isOwnDelivered = false;
  isAcknowledged = false;
  row = 0;
  #answer: ((version: number) => void) | null = null;
  /** The value of the last read, and the oldest one that it may have. */
  #read: number | null = null;
  #atLeast = 0;

  constructor(
    private readonly world: World,
    private readonly at: number,
  ) {
    this.connection = new Connection(world, at);
    this.fences = new world.code.Fences();
    this.applied = world.newest;
    this.position = world.end;
    const { fences } = this;
    const source = {
      fence: () => fences.take(),
      fenceAt: (offset: string) => fences.takenAt(offset),
      trackPositions: () => fences.trackPositions(),
      recall: async () => undefined,
      isInJournal: async (offset: string) => offset !== offsetOf(CLAIMED),
      foreign: false,
      bypass: false,
      position: '',
    };
    const position = (): string => offsetOf(this.position);
    Object.defineProperty(source, 'position', { get: position });
    this.#tier = new world.code.L2Tier<number>(
      '',
      'user:',
      this.connection,
      OPTIONS.l2!,
      source as never,
      { isLeft: async () => false },
      (error) => {
        throw error;
      },
    );
    this.#reach(this.position, false);
    this.cache = new world.code.NearCache<number>(
      'User',
      OPTIONS,
      source as never,
      this.#tier,
    );
  }

  get isLoading(): boolean {
    return this.#answer !== null;
  }

  get hasRead(): boolean {
    return this.#read !== null;
  }

  ask(): void {
    this.#atLeast = this.applied;
    this.#read = null;
    const load = (): Promise<number> =>
      new Promise((resolve) => (this.#answer = resolve));
    void this.cache.get('1', load).then((version) => (this.#read = version));
  }

  /** Ends the load, if there is one. */
  land(): void {
    this.connection.put_ = NOTHING;
    this.#answer?.(this.row);
  }

  /** @returns whether the value was kept as expected */
  landed(world: World, isKept: boolean): boolean {
    if (isKept && this.#answer !== null) {
      world.puts[this.at] ??= this.connection.put_;
    }
    this.#answer = null;
    return this.cache.peek('1') === (isKept ? this.#read : undefined);
  }

  deliver(): void {
    const at = ++this.position;
    const writer = this.world.journal[at]!;
    if (writer === null) this.#apply(OTHER, 0, at);
    else if (writer < OWN && writer === this.at) this.deliverOwn();
    else this.#apply(CHANGE, this.world.versions[writer]!, at);
    this.#settle();
    this.#reach(at, true);
  }

  deliverOwn(): void {
    if (this.isOwnDelivered) return;
    this.isOwnDelivered = true;
    this.fences.recordEarly(CHANGE);
    this.cache.apply({ ...CHANGE, own: true, offset: null });
    this.applied = Math.max(this.applied, this.world.versions[this.at]!);
  }

  acknowledge(): void {
    this.deliverOwn();
    this.isAcknowledged = true;
    this.#settle();
  }

  widen(): void {
    this.applied = Math.max(this.applied, this.world.newest);
    this.fences.record(EVERYTHING);
    this.cache.apply(EVERYTHING);
    this.position = this.world.end;
    this.#settle();
    this.#reach(this.position, false);
  }

  claim(): void {
    this.position = CLAIMED;
    this.#settle();
    this.#reach(CLAIMED, true);
  }

  recall(): void {
    const first = Number.parseInt(this.fences.firstPosition!);
    const past = this.world.journal.slice(1, first + 1);
    this.fences.recall(
      past.map((writer, at) => ({
        ...(writer === null ? OTHER : CHANGE),
        offset: offsetOf(at + 1),
      })),
    );
  }

  /** Evicts memory only, as the TTL does. */
  expire(): void {
    this.cache.apply(EVERYTHING);
  }

  /** Something that it would serve now and that is older than what it has applied. */
  get outdated(): string | null {
    if (this.#read !== null && this.#read < this.#atLeast) return 'a read';
    const kept = this.cache.peek('1');
    if (kept !== undefined && kept < this.applied) return 'memory';
    const [offset, value] = String(this.world.entry).split('\nv');
    if (offset === undefined || Number(value) >= this.applied) return null;
    return this.fences.takenAt(offset)?.holds(KEY) === true ? 'Redis' : null;
  }

  close(): void {
    this.#tier.close();
    this.connection.reply();
  }

  #apply(message: InvalidationMessage, version: number, at: number): void {
    this.fences.record(message);
    this.cache.apply({ ...message, own: false, offset: offsetOf(at) });
    this.applied = Math.max(this.applied, version);
  }

  #settle(): void {
    const placed = this.world.placed[this.at];
    if (!this.isAcknowledged || placed === undefined) return;
    const lastOffset = offsetOf(placed);
    const progress = { mark: 0, hasTaken: () => true, lastOffset };
    this.fences.settleEarly(progress, offsetOf(this.position));
  }

  #reach(at: number, received: boolean): void {
    this.fences.reached(offsetOf(at), received);
  }
}

/** The rest of the model: the row, the journal, Redis and the running instances. */
class World {
  readonly store: MemoryL2Store;
  readonly #entries = new Map<string, Buffer>();
  /** Writers, by offset; `null` for what does not affect the row. */
  readonly journal: (number | null)[] = [null, null];
  readonly versions: number[] = [];
  readonly placed: number[] = [];
  row = 1;
  readonly nodes: Node[] = [];
  /** Commands by instance, which they outlive. */
  readonly puts: (Command | undefined)[] = [];
  readonly drops: (Command | undefined)[] = [];

  constructor(readonly code: Code) {
    this.store = new code.MemoryL2Store(this.#entries);
    for (let at = 0; at < SIZES.INSTANCES - 1; at++) {
      this.nodes[at] = new Node(this, at);
    }
  }

  get entry(): Buffer | undefined {
    return this.#entries.get(KEY);
  }

  get end(): number {
    return this.journal.length - 1;
  }

  /** Newest version in the journal. */
  get newest(): number {
    const writers = this.journal.filter((writer) => writer !== null);
    return Math.max(1, ...writers.map((writer) => this.versions[writer]!));
  }

  publish(writer: number | null): void {
    this.journal.push(writer);
    if (writer !== null) this.placed[writer] = this.end;
  }

  /** Executes a put. @returns whether it was stored */
  put(at: number): boolean {
    const command = this.puts[at]!;
    this.puts[at] = undefined;
    command.execute();
    return this.entry === command.entry;
  }

  /** Executes a drop. @returns whether there was an entry, and is none any more */
  drop(at: number): boolean {
    const isThere = this.entry !== undefined;
    this.drops[at]?.execute();
    return isThere && this.entry === undefined;
  }
}

/** Events by their letters; those with a check return whether the code did the same. */
const EVENTS: Record<string, (world: World, at: number) => boolean | void> = {
  c: (world, at) => void (world.versions[at] = ++world.row),
  p: (world, at) => world.publish(at),
  o: (world) => world.publish(null),
  t: (world, at) => world.nodes[at]!.deliverOwn(),
  a: (world, at) => world.nodes[at]!.acknowledge(),
  d: (world, at) => world.nodes[at]!.deliver(),
  w: (world, at) => world.nodes[at]!.widen(),
  i: (world, at) => world.nodes[at]!.claim(),
  b: (world, at) => void (world.nodes[at] = new Node(world, at)),
  e: (world, at) => world.nodes[at]!.recall(),
  j: (world, at) => {
    world.nodes[at]!.close();
    delete world.nodes[at];
  },
  y: (world, at) => world.nodes[at]!.expire(),
  r: (world, at) => world.nodes[at]!.ask(),
  h: (world, at) => world.nodes[at]!.connection.reply(),
  m: (world, at) => world.nodes[at]!.connection.reply(),
  q: (world, at) => void (world.nodes[at]!.row = world.row),
  k: (world, at) => world.nodes[at]!.land(),
  n: (world, at) => world.nodes[at]!.land(),
  f: (world, at) => {
    if (world.puts[at] === NOTHING) world.puts[at] = undefined;
  },
  s: (world, at) => world.put(at),
  x: (world, at) => !world.put(at),
  g: (world, at) => world.drop(at),
  v: (world, at) => !world.drop(at),
};

/** Checks after the effects of a load's events. @returns whether the code did the same */
const EFFECTS: Record<string, (world: World, at: number) => boolean> = {
  r: () => true,
  h: (world, at) => !world.nodes[at]!.isLoading && world.nodes[at]!.hasRead,
  m: (world, at) => world.nodes[at]!.isLoading,
  k: (world, at) => world.nodes[at]!.landed(world, true),
  n: (world, at) => world.nodes[at]!.landed(world, false),
};

/** @returns what went wrong, and where; `null` if nothing did */
export async function replay(
  trace: string,
  code: Code,
): Promise<string | null> {
  const world = new World(code);
  for (let at = 0; at < trace.length; at += 2) {
    const name = trace[at]!;
    const who = Number(trace[at + 1]);
    const isSame = EVENTS[name]!(world, who) ?? true;
    const turns = name in EFFECTS ? TURNS : MESSAGE_TURNS;
    for (let turn = 0; turn < turns; turn++) await null;
    const outdated = world.nodes.map((node) => node.outdated).find(Boolean);
    if (outdated) return `${trace.slice(0, at + 2)}: ${outdated}`;
    if (!isSame || EFFECTS[name]?.(world, who) === false) {
      return `${trace.slice(0, at + 2)}: the model does something else`;
    }
  }
  for (const node of world.nodes) node?.close();
  await new Promise((resolve) => setImmediate(resolve));
  return null;
}

function offsetOf(at: number): string {
  return `${at}-0`;
}
