/**
 * Loads under way, by cache key. Reads of the same key share one load. A load that
 * an invalidation overtook may have read the old row: it is returned to its callers
 * and not stored.
 */
export class LoadsInFlight<Value> {
  readonly #loads = new Map<string, Promise<Value>>();

  /** @param store called with the value, unless the load was forgotten meanwhile */
  run(
    key: string,
    load: () => Promise<Value>,
    store: (value: Value) => void,
  ): Promise<Value> {
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const mine: Promise<Value> = Promise.resolve()
      .then(load)
      .then((value) => {
        if (this.#loads.get(key) === mine) store(value);
        return value;
      })
      .finally(() => {
        if (this.#loads.get(key) === mine) this.#loads.delete(key);
      });
    this.#loads.set(key, mine);
    return mine;
  }

  /** Drops loads: the next read of such a key loads again. */
  forget(affected: (key: string) => boolean): void {
    for (const key of this.#loads.keys()) {
      if (affected(key)) this.#loads.delete(key);
    }
  }
}
