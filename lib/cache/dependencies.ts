import { CallbackFailedError } from '../errors/index.js';
import {
  familyOf,
  keysOf,
  literalPrefix,
  type IdNormalizer,
  type Invalidation,
} from '../message/index.js';
import { atOnce, type Fence } from '../stream/index.js';

/** Dependencies of one entry; beyond it, their entity types. */
const LIMIT = 256;
/** Characters of an entry's dependencies; beyond it, their entity types. */
const CHARACTERS = 65_536;

const ACTIONS: readonly unknown[] = ['Delete', 'Update', 'Batch', 'Pattern'];

/**
 * Selects the other entities that a cached value is made of: an invalidation of any
 * of them evicts it.
 *
 * @publicApi
 */
// oxlint-disable-next-line typescript/no-explicit-any -- a decorator sees no type of the value
export type DependencySelector<V = any> = (
  value: V,
) => Invalidation | readonly Invalidation[];

/** @internal */
export const NO_DEPENDENCIES: readonly string[] = [];

/**
 * Selects the dependencies of a cache's entries, by the option `dependsOn`.
 *
 * @internal
 */
export class Dependencies<V> {
  constructor(
    /** Name of the cache, for the log. */
    private readonly name: string,
    private readonly select: DependencySelector<V>,
    private readonly ids: IdNormalizer | null,
    private readonly onFailure: (error: CallbackFailedError) => void,
  ) {}

  /** @returns `null` if the selector fails: the value must not be kept */
  of(value: V | undefined): readonly string[] | null {
    if (value === undefined || value === null) return NO_DEPENDENCIES;
    try {
      const selected = atOnce(this.select(value));
      const all = Array.isArray(selected) ? selected : [selected];
      return bounded(new Set(all.flatMap((one) => this.#keysOf(one))));
    } catch (error) {
      this.onFailure(
        new CallbackFailedError(
          this.name,
          'could not find out what a value depends on (option dependsOn), and did not keep it',
          '',
          error,
        ),
      );
      return null;
    }
  }

  #keysOf(given: unknown): readonly string[] {
    const { action } = (given ?? {}) as Partial<Invalidation>;
    if (!ACTIONS.includes(action)) {
      throw new TypeError(
        'it returned something that is not an invalidation (return what entity(), batch() and pattern() make)',
      );
    }
    const invalidation = given as Invalidation;
    const named =
      this.ids === null ? invalidation : this.ids.message(invalidation);
    // A pattern counts as its entity type: fences compare keys and families.
    return keysOf(named) ?? [familyOf(literalPrefix(named.pattern!))];
  }
}

function bounded(keys: ReadonlySet<string>): readonly string[] {
  if (fits(keys)) return [...keys];
  const families = new Set([...keys].map(familyOf));
  return fits(families) ? [...families] : [''];
}

function fits(keys: ReadonlySet<string>): boolean {
  if (keys.size > LIMIT) return false;
  let characters = 0;
  for (const key of keys) characters += key.length;
  return characters <= CHARACTERS;
}

/**
 * Reads the dependencies that an entry in Redis was stored with.
 *
 * @returns `null` for text that is no list of dependencies
 * @internal
 */
export function parseDependencies(text: string): readonly string[] | null {
  try {
    const parsed: unknown = JSON.parse(text);
    const isList =
      Array.isArray(parsed) &&
      parsed.every((one) => typeof one === 'string') &&
      fits(new Set(parsed));
    return isList ? parsed : null;
  } catch {
    return null;
  }
}

/**
 * Checks, at each read of an entry in memory, that none of its dependencies has been
 * invalidated since it was stored.
 *
 * @internal
 */
export class DependencyGuard {
  constructor(
    private readonly dependencies: readonly string[],
    private fence: Fence,
    private readonly newFence: () => Fence,
  ) {}

  holds(): boolean {
    // No message at all since the last check.
    if (this.fence.holds('')) return true;
    if (!this.fence.holds(...this.dependencies)) return false;
    // Fences remember a bounded past: the next check goes back to this one only.
    this.fence = this.newFence();
    return true;
  }
}
