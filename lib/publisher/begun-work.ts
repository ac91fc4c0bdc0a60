/** A unit of work, for the log. @internal */
export interface Work {
  /** Entity types and patterns that it invalidates. */
  readonly subjects: readonly string[];
}

/** Names in one line of the log; of more, only how many. */
const MAX_NAMED = 10;

/**
 * Counts the work under way that will publish when it ends, for the shutdown to
 * wait for. It keeps counts by decorated method and no calls, of which some may
 * never end.
 *
 * @internal
 */
export class BegunWork {
  readonly #counts = new Map<Work, number>();
  #count = 0;
  readonly #waiting = new Set<{ most: number; resolve: () => void }>();

  get count(): number {
    return this.#count;
  }

  begin(work: Work): void {
    this.#count++;
    this.#counts.set(work, (this.#counts.get(work) ?? 0) + 1);
  }

  end(work: Work): void {
    const left = (this.#counts.get(work) ?? 1) - 1;
    if (left === 0) this.#counts.delete(work);
    else this.#counts.set(work, left);
    this.#count--;
    for (const wait of this.#waiting) {
      if (this.#count > wait.most) continue;
      this.#waiting.delete(wait);
      wait.resolve();
    }
  }

  /** @param most how much may still be under way: the caller's own */
  whenDone(most = 0): Promise<void> {
    if (this.#count <= most) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ most, resolve }));
  }

  /** Entity types and patterns of the work under way, each once. */
  subjects(): string[] {
    return namesOf([...this.#counts.keys()].flatMap((work) => work.subjects));
  }
}

/** Each once, and not too many for a line. @internal */
export function namesOf(subjects: readonly string[]): string[] {
  const names = [...new Set(subjects)];
  return names.length <= MAX_NAMED
    ? names
    : [...names.slice(0, MAX_NAMED), `${names.length - MAX_NAMED} more`];
}
