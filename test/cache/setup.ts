import {
  Instance,
  type EntityType,
  type Invalidation,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { L2Tier, PositionSource } from '../../lib/cache/index.js';
import { ResolvedL2Options } from '../../lib/cache/shared/l2.options.js';
import { Fences, type Fence, type PastFence } from '../../lib/stream/index.js';
import { MemoryL2Store } from '../../lib/transport/index.js';

const instance = new Instance('test');

/** A load, which ends when the test says so. */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The position of an instance, which a test moves. */
export class HandSource extends PositionSource {
  readonly fences = new Fences();
  position: string | null = '5-0';
  bypass = false;
  withoutProof = 0;
  /** Bounds of caches. */
  readonly bounds: number[] = [];
  readonly boundTypes: (EntityType | null)[] = [];
  foreign = false;
  /** Offsets that a message only claims. */
  readonly claimed = new Set<string>();
  recalls = 0;
  onForeign = (): void => {};
  onStale = (): void => {};

  boundStaleness(
    _cache: string,
    maxStaleness: number,
    entityType: EntityType | null,
  ): void {
    this.bounds.push(maxStaleness);
    this.boundTypes.push(entityType);
  }

  whenStale(_maxStaleness: number, listener: () => void): () => void {
    this.onStale = listener;
    return () => (this.onStale = () => {});
  }

  fence(): Fence {
    return this.fences.take();
  }

  fenceAt(offset: string): PastFence | null {
    return this.fences.takenAt(offset);
  }

  trackPositions(): void {
    this.fences.trackPositions();
    if (this.position !== null) this.fences.reached(this.position, true);
  }

  async recall(): Promise<void> {
    this.recalls++;
  }

  async isInJournal(offset: string): Promise<boolean> {
    return !this.claimed.has(offset);
  }

  whenForeign(listener: () => void): void {
    this.onForeign = listener;
  }

  /** Receives a message, from the journal if it has an offset. */
  hear(
    said: Invalidation,
    offset: string | null = null,
    more: Partial<InvalidationMessage> = {},
  ): InvalidationMessage {
    const stamped = { ...instance.stamp(said), own: false, offset, ...more };
    const message = stamped as InvalidationMessage;
    this.fences.record(message);
    if (offset !== null) {
      this.position = offset;
      this.fences.reached(offset, true);
    }
    return message;
  }
}

/** A store that records its commands. */
export class RecordingStore extends MemoryL2Store {
  readonly calls: string[] = [];

  constructor(readonly stored = new Map<string, Buffer>()) {
    super(stored);
  }

  override get(key: string): Promise<Buffer | null> {
    this.calls.push(`get ${key}`);
    return super.get(key);
  }

  override put(key: string, offset: string, entry: Buffer): Promise<void> {
    this.calls.push(`put ${key} ${offset}`);
    return super.put(key, offset, entry);
  }

  override drop(key: string, offset: string): Promise<void> {
    this.calls.push(`drop ${key} ${offset}`);
    return super.drop(key, offset);
  }

  override async *scan(pattern: string): AsyncIterable<string[]> {
    this.calls.push(`scan ${pattern}`);
    yield* super.scan(pattern);
  }

  override lease(key: string, holder: string): Promise<boolean> {
    this.calls.push(`lease ${key}`);
    return super.lease(key, holder);
  }

  override swap(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null> {
    this.calls.push(`swap ${key} ${text}`);
    return super.swap(key, expected, text, ttl);
  }

  override write(key: string, text: string): Promise<void> {
    this.calls.push(`write ${key} ${text}`);
    return super.write(key, text);
  }

  /** Commands but for those of the start and of sweeps. */
  of(command: string): string[] {
    return this.calls.filter(
      (call) => call.startsWith(command) && !call.includes('~'),
    );
  }
}

export function makeTier<V>(
  source: PositionSource,
  options: Partial<ResolvedL2Options<V>> = {},
  {
    store = new RecordingStore(),
    serviceMark = { isLeft: async () => false },
  }: {
    store?: RecordingStore;
    serviceMark?: { isLeft(): Promise<boolean> };
  } = {},
) {
  const errors: Error[] = [];
  const tier = new L2Tier<V>(
    'near:',
    'user:',
    store,
    Object.assign(new ResolvedL2Options<V>(), options),
    source,
    serviceMark,
    (error) => errors.push(error),
  );
  return { tier, store, errors };
}
