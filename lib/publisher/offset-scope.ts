import { AsyncLocalStorage } from 'node:async_hooks';
import { compareOffsets } from '../message/index.js';
import type { PublishReceipt } from './publish-receipt.js';

/** The last journal offset of all messages that were published in one scope. */
interface Scope {
  offset: string | null;
}

type Settle = (receipt: PublishReceipt) => void;

/**
 * Remembers, for one request, how far the journal has come by what the request
 * itself published. Costs nothing until it is first used.
 *
 * @internal
 */
export class OffsetScope {
  #storage: AsyncLocalStorage<Scope> | null = null;

  /** @returns what `work` returns, and a look at the offset so far */
  run<T>(work: (offset: () => string | null) => T): T {
    const scope: Scope = { offset: null };
    this.#storage ??= new AsyncLocalStorage();
    return this.#storage.run(scope, work, () => scope.offset);
  }

  /** Records the offset of a receipt to come, for the current scope. */
  record(receipt: Promise<PublishReceipt>): void {
    if (this.#storage?.getStore() === undefined) return;
    void receipt.then(this.recording(() => {}));
  }

  /** Wraps `settle`, so that it also records the offset for the current scope. */
  recording(settle: Settle): Settle {
    const scope = this.#storage?.getStore();
    if (scope === undefined) return settle;
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
