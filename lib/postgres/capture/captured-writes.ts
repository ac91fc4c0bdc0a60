import type { Invalidation } from '../../message/index.js';
import { ChangeSet } from '../mapping/change-set.js';

/**
 * Adds what a write invalidates.
 *
 * @param result what RETURNING gave; `null` if it is not there
 * @internal
 */
export type CapturedWrite = (
  result: readonly unknown[] | null,
  changes: ChangeSet,
) => void;

/**
 * The writes of one transaction, merged. A write without a result yet when the transaction
 * ends is added without it.
 *
 * @internal
 */
export class CapturedWrites {
  readonly #changes: ChangeSet;
  readonly #open = new Set<CapturedWrite>();
  /** Whether definitions of tables have changed as well. */
  hasDefinitions = false;

  constructor(bulk: number) {
    this.#changes = new ChangeSet(bulk, () => {});
  }

  begin(write: CapturedWrite): void {
    this.#open.add(write);
  }

  end(write: CapturedWrite, result: readonly unknown[] | null): void {
    if (this.#open.delete(write)) write(result, this.#changes);
  }

  invalidations(): Invalidation[] {
    for (const write of this.#open) this.end(write, null);
    return this.#changes.invalidations();
  }
}
