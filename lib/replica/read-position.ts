import { AsyncLocalStorage } from 'node:async_hooks';
import type { Deadlines } from '../common/index.js';
import type { CommitPosition } from '../message/index.js';
import { positionIn, type Replica } from './replica.js';

/** A commit that the reads of one request have to see. @internal */
export interface ReadPosition {
  readonly at: CommitPosition;
  /** The position counts no longer then, by `performance.now()`: anybody may claim one. */
  readonly until: number;
}

const positions = new AsyncLocalStorage<ReadPosition>();

/** Runs the reads of one request, which has a position or none. @internal */
export function withReadPosition<T>(
  position: ReadPosition | null,
  work: () => T,
): T {
  return position === null ? work() : positions.run(position, work);
}

/** The position that the reader here and now has to see on a replica. @internal */
export function readPosition(replica: Replica): string | null {
  const position = positions.getStore();
  if (position === undefined || performance.now() >= position.until) {
    return null;
  }
  return positionIn(position.at, replica);
}

const WAITED = new Error('a reader has waited long enough');

/** Readers that wait for the next answer of a replica. @internal */
export class WaitingReaders {
  readonly #waiting = new Set<() => void>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with the next answer, or once the reader here has waited long enough. */
  async wait(deadlines: Deadlines): Promise<void> {
    const left = (positions.getStore()?.until ?? 0) - performance.now();
    let resolve!: () => void;
    const answered = new Promise<void>((settle) => (resolve = settle));
    this.#waiting.add(resolve);
    await deadlines.within(left, answered, () => WAITED).catch(() => undefined);
    this.#waiting.delete(resolve);
  }

  resolve(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
