/** The surroundings of an instance in the fill model, and its way to the second tier. */
import type { L2Tier, NearCache } from '../../lib/cache/index.js';
import type { Fences } from '../../lib/stream/index.js';
import type { L2Store, MemoryL2Store } from '../../lib/transport/index.js';

/** The classes under test: the library's own, or faulty ones. */
export interface Code {
  readonly NearCache: typeof NearCache;
  readonly L2Tier: typeof L2Tier;
  readonly Fences: typeof Fences;
  readonly MemoryL2Store: typeof MemoryL2Store;
}

export const KEY = 'user:1';

/** A command to the second tier that waits for its turn. */
export interface Command {
  /** Outcome of a put; a put that the library left out has none. */
  readonly entry?: Buffer;
  execute(): void;
}

export const NOTHING: Command = { execute: () => undefined };

/** The rest of the model, as far as an instance sees it. */
export interface Surroundings {
  readonly code: Code;
  readonly store: MemoryL2Store;
  /** Writers, by offset; `null` for what does not affect the row. */
  readonly journal: readonly (number | null)[];
  /** Versions and offsets of the changes, by writer. */
  readonly versions: readonly number[];
  readonly placed: readonly number[];
  /** The entry of the second tier. */
  readonly entry: Buffer | undefined;
  /** The last offset of the journal. */
  readonly end: number;
  /** Newest version in the journal. */
  readonly newest: number;
  /** Commands under way, by instance, which they outlive. */
  readonly puts: (Command | undefined)[];
  readonly drops: (Command | undefined)[];
}

/** The connection of one instance; the trace executes its commands. */
export class Connection implements L2Store {
  readonly keySpace = '';
  readonly opened = Promise.resolve();
  reply = (): void => undefined;
  landed: Command = NOTHING;

  constructor(
    private readonly world: Surroundings,
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
    this.landed = { entry, execute };
  }

  async drop(key: string, before: string): Promise<void> {
    const execute = (): void => void this.world.store.drop(key, before);
    this.world.drops[this.at] = { execute };
  }

  async lease(): Promise<boolean> {
    return false;
  }

  async swap(): Promise<null> {
    return null;
  }

  async *scan(): AsyncIterable<string[]> {}
  async write(): Promise<void> {}
}
