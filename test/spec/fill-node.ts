/** One instance of the fill model, with the real near cache and second tier. */
import {
  resolveNearCache,
  type L2Tier,
  type NearCache,
} from '../../lib/cache/index.js';
import {
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import type { Fences } from '../../lib/stream/index.js';
import {
  Connection,
  KEY,
  NOTHING,
  type Surroundings,
} from './fill-connection.js';
import { SIZES } from './fill-traces.mjs';

/** Instance 0 publishes the first change; another service publishes the second one. */
const OWN = 1;
const CLAIMED = 2 + SIZES.CHANGES + SIZES.OTHERS;
const OPTIONS = resolveNearCache<number>({ max: 4, l2: { timeout: 50 } });

const instance = new Instance('spec');
const CHANGE = instance.stamp(entity('User', 1));
const OTHER = instance.stamp(entity('Post', 1));
const EVERYTHING = instance.widened('missed');

/** One running instance, with at most one load. */
export class Node {
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
    private readonly world: Surroundings,
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
      source,
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
    this.connection.landed = NOTHING;
    this.#answer?.(this.row);
  }

  /** @returns whether the value was kept as expected */
  landed(world: Surroundings, isKept: boolean): boolean {
    if (isKept && this.#answer !== null) {
      world.puts[this.at] ??= this.connection.landed;
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

function offsetOf(at: number): string {
  return `${at}-0`;
}
