import { setTimeout as delay } from 'node:timers/promises';
import {
  CacheInvalidationError,
  describeCause,
  InvalidationConfigurationError,
  InvalidationRedisError,
  InvalidationSerializationError,
} from '../../errors/index.js';
import {
  compareOffsets,
  isOffset,
  type InvalidationMessage,
} from '../../message/index.js';
import { atOnce, type PastFence } from '../../stream/index.js';
import { L2UnavailableError, type L2Store } from '../../transport/index.js';
import { differenceOf, type Difference } from './difference.js';
import { NO_DEPENDENCIES, parseDependencies } from '../dependencies.js';
import { ForeignMark } from './foreign-mark.js';
import { L2Sweeper } from './l2-sweeper.js';
import type { PositionSource } from '../position-source.js';
import type { ResolvedL2Options } from '../near/near-cache.options.js';

/** Redis did not answer a read in time: for so long none asks it. */
const REST_MS = 1_000;
/** Writes under way; beyond it what was loaded is not shared. */
const WRITE_LIMIT = 10_000;

/** What stands in the place of a value that does not exist. */
const VALUE = 'v';
const NULL = 'n';
const UNDEFINED = 'u';
const KINDS = new Set([VALUE, NULL, UNDEFINED]);
/** Stands before a line with the dependencies of an entry that has any. */
const DEPENDENCIES = 'd';

/** Later than any offset: what is dropped before it goes, whatever it is. */
const BEYOND_ALL = `${'9'.repeat(41)}-0`;

/** @internal */
export interface L2Stats {
  readonly l2Hits: number;
  readonly l2Refused: number;
  readonly l2Errors: number;
  readonly l2Unshared: number;
}

interface Found<V> {
  readonly value: V;
  readonly fence: PastFence;
  readonly dependencies: readonly string[];
}

/** Parts of an entry as it stands in Redis. */
interface Parts {
  /** Journal offset at which its load began. */
  readonly offset: string;
  readonly dependencies: readonly string[];
  readonly kind: string;
  readonly bytes: Buffer;
}

/**
 * What instances of a service share in Redis. Each entry carries the offset at
 * which its load began: whoever has been there itself knows what it has applied
 * since, and refuses the entry if that affects its key, whether or not anybody
 * has deleted it. An offset that this instance has never been at says nothing,
 * and is refused as well; so no clock and no order of offsets is relied on.
 *
 * @internal
 */
export class L2Tier<V> {
  /** Connected, and what was said before this instance started is known. */
  readonly ready: Promise<void>;
  readonly #sweeper: L2Sweeper;
  readonly #foreignMark: ForeignMark;
  #hits = 0;
  #refused = 0;
  #errors = 0;
  #unshared = 0;
  #writing = 0;
  /** Settled when the first command may be sent: once ready, or past `timeout`. */
  #opening: Promise<unknown> | null = null;
  #restUntil = 0;
  #isDisabled = false;
  /** What the journal alone knows counts: nobody published without it. */
  #trustsRecalled = false;

  /**
   * @param prefix of all names in Redis
   * @param family what its cache keys begin with: `user:`
   */
  constructor(
    private readonly prefix: string,
    private readonly family: string,
    private readonly store: L2Store,
    private readonly options: ResolvedL2Options<V>,
    private readonly source: PositionSource,
    /** Left by instances that had not made this tier when they heard of it. */
    private readonly serviceMark: Pick<ForeignMark, 'isLeft'>,
    private readonly report: (error: CacheInvalidationError) => void,
    /** Name of the cache, for the log. */
    private readonly name = family,
  ) {
    this.#sweeper = new L2Sweeper(prefix, family, store);
    this.#foreignMark = new ForeignMark({
      store: () => store,
      key: `${prefix}~foreign:${family}`,
      ttl: () => options.ttl,
      onWriting: (writing) => this.#write(writing),
    });
    source.trackPositions();
    if (source.foreign) this.#foreignMark.leave();
    // class-transformer, if it takes that.
    options.serializer.ready?.catch((error: CacheInvalidationError) =>
      this.report(error),
    );
    this.ready = Promise.all([
      store.opened.then(() => this.#recall()),
      options.serializer.ready?.catch(() => undefined),
    ]).then(() => undefined);
  }

  get stats(): L2Stats {
    return {
      l2Hits: this.#hits,
      l2Refused: this.#refused,
      l2Errors: this.#errors,
      l2Unshared: this.#unshared,
    };
  }

  /** Another cache has the same entries: neither reads or stores any from now on. */
  disable(): void {
    this.#isDisabled = true;
  }

  /** @returns `null` if there is none, or none that is known to be right */
  async get(key: string): Promise<Found<V> | null> {
    if (this.#isDisabled) return null;
    await this.#whenOpen();
    const entry = await this.#answer(() => this.store.get(this.prefix + key));
    if (entry === null) return null;
    const parts = partsOf(entry);
    if (parts === null) {
      this.#refused++;
      this.#remove(key);
      return null;
    }
    const { offset, dependencies, kind, bytes } = parts;
    try {
      const fence = this.source.fenceAt(offset);
      const isRight =
        fence !== null &&
        this.#trusts(fence) &&
        fence.holds(key, ...dependencies);
      if (isRight) {
        const value = this.#decode(kind, bytes);
        this.#hits++;
        return { value, fence, dependencies };
      }
      this.#refused++;
      if (fence === null) void this.#removeUnlessReal(key, offset);
    } catch (error) {
      this.#failed(error as Error);
    }
    return null;
  }

  /**
   * An entry from beyond the journal's end was not loaded at any offset, and no
   * right one would replace it.
   */
  async #removeUnlessReal(key: string, offset: string): Promise<void> {
    const { position } = this.source;
    if (position === null || compareOffsets(offset, position) <= 0) return;
    if (!(await this.source.isInJournal(offset))) this.#remove(key);
  }

  #remove(key: string): void {
    this.#drop(key, BEYOND_ALL);
  }

  #drop(key: string, before: string): void {
    if (this.#writing >= WRITE_LIMIT) return;
    const dropping = this.#whenOpen().then(() =>
      this.store.drop(this.prefix + key, before),
    );
    this.#write(dropping);
  }

  /**
   * A tier that is made while the application runs has yet to connect: its first
   * commands wait for that, and for what was said before it was made.
   */
  #whenOpen(): Promise<unknown> {
    this.#opening ??= Promise.race([
      this.ready,
      delay(this.options.timeout, undefined, { ref: false }),
    ]);
    return this.#opening;
  }

  /** @param offset where this instance was when the load began */
  put(
    key: string,
    offset: string,
    value: V,
    ttl: number,
    dependencies: readonly string[] = NO_DEPENDENCIES,
  ): void {
    if (this.#isDisabled || this.#writing >= WRITE_LIMIT) return;
    const encoded = this.encode(value);
    if (encoded === null) return;
    const entry = Buffer.concat([headOf(offset, dependencies), encoded]);
    this.#foreignMark.renew();
    this.#write(this.#putConfirmed(key, offset, entry, ttl));
  }

  /** Not at an offset that was only heard: later instances would believe it. */
  async #putConfirmed(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
  ): Promise<void> {
    if (!(await this.source.isInJournal(offset))) return;
    await this.#whenOpen();
    await this.store.put(this.prefix + key, offset, entry, ttl);
  }

  /** @param keys those of this cache that the message names */
  drop(keys: readonly string[], message: InvalidationMessage): void {
    if (isForeign(message)) this.#foreignMark.leave();
    const before = this.#limitOf(message);
    if (before === null) return;
    for (const key of keys) this.#drop(key, before);
  }

  /** @param pattern of what the message names */
  sweep(pattern: string, message: InvalidationMessage): void {
    if (isForeign(message)) this.#foreignMark.leave();
    const before = this.#limitOf(message);
    // Only this instance does not know what it missed: others may use it all.
    if (before === null || message.widened !== null) return;
    this.#sweeper.add(pattern, before, before === message.offset);
  }

  close(): void {
    this.#foreignMark.close();
    this.#sweeper.close();
  }

  /** What was said before this instance started. */
  async #recall(): Promise<void> {
    try {
      if (await this.#foreignMark.isLeft()) return;
      if (await this.serviceMark.isLeft()) return;
      await this.source.recall();
      this.#trustsRecalled = true;
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  #trusts(fence: PastFence): boolean {
    return !fence.recalled || (this.#trustsRecalled && !this.source.foreign);
  }

  /** Whatever was loaded before this offset is affected by the message. */
  #limitOf({ offset }: InvalidationMessage): string | null {
    if (isOffset(offset)) return offset;
    const { position } = this.source;
    return position === null ? null : next(position);
  }

  /**
   * @returns `null` for a value that would not come back as it is
   * @throws InvalidationSerializationError in its place if the option `strict` is set
   */
  encode(value: V): Buffer | null {
    if (value === undefined) return Buffer.from(UNDEFINED);
    if (value === null) return Buffer.from(NULL);
    const { strict } = this.options;
    try {
      return Buffer.concat([Buffer.from(VALUE), this.#serialize(value)]);
    } catch (error) {
      const isOurs = error instanceof CacheInvalidationError;
      if (strict) throw isOurs ? error : unserializable(this.name, error);
      if (!isOurs) {
        this.#failed(error as Error);
        return null;
      }
      // That class-transformer is missing was told when the tier was made.
      const isFirst = this.#unshared++ === 0;
      if (isFirst && error instanceof InvalidationSerializationError) {
        this.report(error);
      }
      return null;
    }
  }

  /** One whose result is not checked may fail as Redis may. */
  #serialize(value: V): Buffer {
    const { serializer } = this.options;
    const { checkedBytes } = serializer;
    if (checkedBytes === undefined) {
      return Buffer.from(atOnce(serializer.serialize(value)) as Buffer);
    }
    let bytes: Buffer;
    let difference: Difference | null;
    try {
      bytes = Buffer.from(serializer.serialize(value) as Buffer);
      if (bytes.length > checkedBytes) throw tooLarge(this.name, checkedBytes);
      difference = differenceOf(value, serializer.deserialize(bytes));
    } catch (error) {
      if (error instanceof CacheInvalidationError) throw error;
      if (error instanceof L2UnavailableError) throw error;
      throw unserializable(this.name, error);
    }
    if (difference !== null) throw changed(this.name, difference);
    return bytes;
  }

  #decode(kind: string, bytes: Buffer): V {
    if (kind === UNDEFINED) return undefined as V;
    if (kind === NULL) return null as V;
    return atOnce(this.options.serializer.deserialize(bytes));
  }

  /** Within its deadline, and never an error: `null` then. */
  #answer<T>(ask: () => Promise<T | null>): Promise<T | null> {
    if (performance.now() < this.#restUntil) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#errors++;
        this.#restUntil = performance.now() + REST_MS;
        resolve(null);
      }, this.options.timeout);
      ask().then(
        (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        (error: Error) => {
          clearTimeout(timer);
          this.#failed(error);
          resolve(null);
        },
      );
    });
  }

  #write(writing: Promise<void>): void {
    this.#writing++;
    writing
      .catch((error: Error) => this.#failed(error))
      .finally(() => this.#writing--);
  }

  #failed(error: Error): void {
    this.#errors++;
    // That there is no connection is told by the connection.
    if (error instanceof L2UnavailableError) return;
    if (error instanceof InvalidationConfigurationError) return;
    if (error.message.includes('enableOfflineQueue')) return;
    this.report(
      new InvalidationRedisError(
        `The shared tier of a near cache: ${describeCause(error)}.`,
        'What is asked for is loaded instead.',
        error,
      ),
    );
  }
}

const CURE =
  'It is kept in memory only. Give l2 a type (of a class, for class-transformer), a serializer such as structured(), or serializer: json() if it may come back as JSON makes it.';

function changed(
  name: string,
  { path, kind }: Difference,
): InvalidationSerializationError {
  const place = path === '' ? '' : ` at ${path}`;
  return new InvalidationSerializationError(
    `A value of ${name} would not come back from Redis as it is: ${kind}${place}.`,
    CURE,
  );
}

function unserializable(
  name: string,
  cause: unknown,
): InvalidationSerializationError {
  return new InvalidationSerializationError(
    `A value of ${name} cannot be written to Redis: ${describeCause(cause as Error)}.`,
    CURE,
    cause,
  );
}

function tooLarge(name: string, bytes: number): InvalidationSerializationError {
  return new InvalidationSerializationError(
    `A value of ${name} has more than ${bytes} bytes, and is not checked for Redis.`,
    'It is kept in memory only. Keep smaller values, or give l2 a serializer of your own or json().',
  );
}

/** From a publisher without a journal; others may call something else an offset. */
function isForeign({ own, offset }: InvalidationMessage): boolean {
  return !own && !isOffset(offset);
}

function headOf(offset: string, dependencies: readonly string[]): Buffer {
  const line =
    dependencies.length === 0
      ? ''
      : `${DEPENDENCIES}${JSON.stringify(dependencies)}\n`;
  return Buffer.from(`${offset}\n${line}`);
}

/** @returns `null` for what no version of this library has written so */
function partsOf(entry: Buffer): Parts | null {
  const end = entry.indexOf('\n');
  const offset = entry.toString('latin1', 0, Math.max(end, 0));
  if (!isOffset(offset)) return null;
  let start = end + 1;
  let dependencies: readonly string[] | null = NO_DEPENDENCIES;
  if (entry.toString('latin1', start, start + 1) === DEPENDENCIES) {
    const lineEnd = entry.indexOf('\n', start);
    dependencies = parseDependencies(
      entry.toString('utf8', start + 1, lineEnd),
    );
    start = lineEnd + 1;
  }
  const kind = entry.toString('latin1', start, start + 1);
  if (dependencies === null || !KINDS.has(kind)) return null;
  return { offset, dependencies, kind, bytes: entry.subarray(start + 1) };
}

/** The next offset there could be. */
function next(offset: string): string {
  const [ms, sequence] = offset.split('-') as [string, string];
  return `${ms}-${BigInt(sequence) + 1n}`;
}
