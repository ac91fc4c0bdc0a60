import { AsyncLocalStorage } from 'node:async_hooks';
import { compareOffsets } from '../message/index.js';
import type { PublishReceipt } from './publish-receipt.js';

/** Of everything that was published in one scope, the last place. */
interface Scope {
  offset: string | null;
}

type Tell = (receipt: PublishReceipt) => void;

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

  /** The same `tell`, which also notes the offset for the scope it is in. */
  noting(tell: Tell): Tell {
    const scope = this.#storage?.getStore();
    if (scope === undefined) return tell;
    return (receipt) => {
      const { offset } = receipt;
      const later =
        offset !== null &&
        (scope.offset === null || compareOffsets(offset, scope.offset) > 0);
      if (later) scope.offset = offset;
      tell(receipt);
    };
  }
}
