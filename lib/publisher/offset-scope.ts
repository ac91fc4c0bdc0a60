import { AsyncLocalStorage } from 'node:async_hooks';
import {
  compareOffsets,
  lsnIn,
  type CommitPosition,
  type Lsn,
} from '../message/index.js';
import type { PublishReceipt } from './publish-receipt.js';

/** The latest of all messages that were published in one scope. */
interface Scope {
  /** In the journal. */
  offset: string | null;
  /** In the log of PostgreSQL, where the message has a position. */
  lsn: Lsn | null;
}

type Settle = (receipt: PublishReceipt) => void;

/**
 * Remembers, for one request, how far journal and database have come by what the
 * request itself published. Costs nothing until it is first used.
 *
 * @internal
 */
export class OffsetScope {
  #storage: AsyncLocalStorage<Scope> | null = null;

  /** @returns what `work` returns, and looks at the offset and the position so far */
  run<T>(work: (offset: () => string | null, lsn: () => Lsn | null) => T): T {
    const scope: Scope = { offset: null, lsn: null };
    this.#storage ??= new AsyncLocalStorage();
    return this.#storage.run(
      scope,
      work,
      () => scope.offset,
      () => scope.lsn,
    );
  }

  /** Records the offset of a receipt to come, for the current scope. */
  record(receipt: Promise<PublishReceipt>, at: CommitPosition | null): void {
    if (this.#storage?.getStore() === undefined) return;
    void receipt.then(this.recording(() => {}, at));
  }

  /**
   * Wraps `settle`, so that it also records the offset for the current scope.
   *
   * @param at the commit that the message tells of
   */
  recording(settle: Settle, at: CommitPosition | null): Settle {
    const scope = this.#storage?.getStore();
    if (scope === undefined) return settle;
    const lsn = lsnIn(at);
    if (lsn !== null && (scope.lsn === null || lsn > scope.lsn)) {
      scope.lsn = lsn;
    }
    return (receipt) => {
      const { offset } = receipt;
      const later =
        offset !== null &&
        (scope.offset === null || compareOffsets(offset, scope.offset) > 0);
      if (later) scope.offset = offset;
      settle(receipt);
    };
  }
}
