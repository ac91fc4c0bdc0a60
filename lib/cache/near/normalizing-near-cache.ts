import {
  checkEntityId,
  type EntityId,
  type IdForm,
} from '../../message/index.js';
import { checkMap } from './load-results.js';
import { NearCache } from './near-cache.js';
import type { LoadFromPrimary } from './replica-loads.js';

/**
 * A near cache of entities whose ids come in several forms (option
 * `normalizeIds`).
 *
 * @internal
 */
export class NormalizingNearCache<V> extends NearCache<V> {
  #form: IdForm = (id) => id;

  /** Sets the form of ids; to be called once, before the first read. */
  useForm(form: IdForm): this {
    this.#form = form;
    return this;
  }

  override get(
    id: EntityId,
    load: () => Promise<V> | V,
    primary?: LoadFromPrimary<V> | null,
  ): Promise<V> {
    try {
      return super.get(this.#nameOf(id), load, primary);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `loadMany` gets ids as the reader gave them; the first one of several forms. */
  override async getMany<I extends EntityId>(
    ids: readonly I[],
    loadMany: (ids: I[]) => Promise<ReadonlyMap<I, V>> | ReadonlyMap<I, V>,
  ): Promise<Map<I, V>> {
    const asked = new Map<string, I>();
    for (const id of ids) {
      const name = this.#nameOf(id);
      if (!asked.has(name)) asked.set(name, id);
    }
    const values = await super.getMany([...asked.keys()], async (names) => {
      const loaded = await loadMany(names.map((name) => asked.get(name)!));
      return new Map(
        [...checkMap(loaded)].map(([id, value]) => [this.#nameOf(id), value]),
      );
    });
    const result = new Map<I, V>();
    for (const id of ids) {
      const value = values.get(this.#nameOf(id));
      if (value !== undefined) result.set(id, value);
    }
    return result;
  }

  override peek(id: EntityId): V | undefined {
    return super.peek(this.#nameOf(id));
  }

  #nameOf(id: EntityId): string {
    return checkEntityId(this.#form(checkEntityId(id)));
  }
}
