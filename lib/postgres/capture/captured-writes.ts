import { ChangeSet } from '../change-set.js';
import type { Invalidation } from '../../message/index.js';

/** Adds what a write invalidates, from the rows that it returned, if it did. @internal */
export type CapturedWrite = (
  rows: readonly unknown[] | null,
  changes: ChangeSet,
) => void;

/**
 * The writes of one transaction, merged. A write whose result is not there when the
 * transaction ends is added without it.
 *
 * @internal
 */
export class CapturedWrites {
  readonly #changes: ChangeSet;
  readonly #open = new Set<CapturedWrite>();

  constructor(bulk: number) {
    this.#changes = new ChangeSet(bulk, () => {});
  }

  begin(write: CapturedWrite): void {
    this.#open.add(write);
  }

  end(write: CapturedWrite, rows: readonly unknown[] | null): void {
    if (this.#open.delete(write)) write(rows, this.#changes);
  }

  /** What the writes invalidate. */
  invalidations(): Invalidation[] {
    for (const write of this.#open) this.end(write, null);
    return this.#changes.invalidations();
  }
}
