import type { EntityId } from '../../message/index.js';
import { NOT_STORED } from '../shared/l2-tier.js';
import type { Claim, LoadClaims } from '../shared/load-claims.js';
import type { LoadedValues } from './cache-loader.js';
import type { CacheTiers, Loaded } from './cache-tiers.js';

type Values<I, V> = Map<I, Loaded<V | undefined>>;

const STORED = Promise.resolve(true);

/**
 * Loads values that other instances may be loading as well: what they have claimed is
 * waited for, and read from the second tier like any other entry.
 *
 * @internal
 */
export class SingleFlight<V> {
  constructor(
    private readonly claims: LoadClaims,
    private readonly tiers: Pick<CacheTiers<V>, 'find' | 'keyOf'>,
  ) {}

  /** @param inTurn runs a load in its turn; no turn is taken while others are waited for */
  async load<I extends EntityId>(
    ids: I[],
    loadNow: (ids: I[]) => Promise<LoadedValues<I, V>>,
    inTurn: <T>(ids: I[], work: () => Promise<T>) => Promise<T>,
  ): Promise<LoadedValues<I, V>> {
    const all: Values<I, V> = new Map();
    const { deadline } = this.claims;
    let missing = ids;
    while (missing.length > 0) {
      const asked = missing;
      const theirs = new Map<I, string>();
      const isLate = performance.now() >= deadline;
      const loaded = await inTurn(asked, () =>
        isLate ? loadNow(asked) : this.#loadUnclaimed(asked, loadNow, theirs),
      );
      addAll(all, loaded);
      await Promise.all(
        [...theirs].map(([id, claim]) =>
          this.claims.whenEnded(this.#keyOf(id), claim, deadline),
        ),
      );
      addAll(all, await this.tiers.find([...theirs.keys()]));
      missing = [...theirs.keys()].filter((id) => !all.has(id));
    }
    return all;
  }

  /** @param theirs gets the claims of other instances */
  async #loadUnclaimed<I extends EntityId>(
    ids: I[],
    loadNow: (ids: I[]) => Promise<LoadedValues<I, V>>,
    theirs: Map<I, string>,
  ): Promise<LoadedValues<I, V>> {
    const all: Values<I, V> = new Map();
    const claimed = new Map<I, Claim>();
    await Promise.all(
      ids.map(async (id) => {
        const claim = await this.claims.take(this.#keyOf(id));
        if (typeof claim === 'string') theirs.set(id, claim);
        else if (claim !== null) claimed.set(id, claim);
      }),
    );
    const endRenewal = this.claims.renew([...claimed.values()]);
    try {
      // Another instance may have stored a value just before its claim ended.
      addAll(all, await this.tiers.find([...claimed.keys()]));
      const left = ids.filter((id) => !theirs.has(id) && !all.has(id));
      if (left.length > 0) addAll(all, await loadNow(left));
      return all;
    } finally {
      endRenewal();
      for (const [id, claim] of claimed) {
        void this.claims.end(claim, isStored(all.get(id)));
      }
    }
  }

  #keyOf(id: EntityId): string {
    return this.tiers.keyOf(String(id));
  }
}

function addAll<I, V>(
  all: Values<I, V>,
  more: ReadonlyMap<I, Loaded<V | undefined>> | null,
): void {
  for (const [id, value] of more ?? []) all.set(id, value);
}

/** A value without `stored` was found in the second tier. */
function isStored(loaded: Loaded<unknown> | undefined): Promise<boolean> {
  return loaded === undefined ? NOT_STORED : (loaded.stored ?? STORED);
}
