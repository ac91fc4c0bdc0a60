import type { Answer, HttpClient } from './http.client.js';

/** Result of the reads of one URL after a change. */
export interface Verdict<Body> {
  readonly last: Answer<Body>;
  readonly fresh: boolean;
  /** Reads that still got the old state. */
  readonly oldReads: number;
  /** From the answer to the change until the end of the first fresh read. */
  readonly ms: number;
}

/**
 * Reads after a change until the change shows, and counts.
 *
 * The answer to a change arrives once Redis has the message, and a read right after
 * it may overtake that message on its way to the gateway: such an old read is
 * counted and reported. An old read that begins after the patience is stale, and
 * fails the demo.
 */
export class FreshnessJudge {
  /** Changes that were checked. */
  checks = 0;
  /** Old reads within the patience. */
  oldReads = 0;
  /** Changes that never showed. */
  stale = 0;

  constructor(private readonly http: HttpClient) {}

  /**
   * @param changed when the change was answered, by `performance.now()`
   * @param patience milliseconds
   */
  async readUntil<Body>(
    url: string,
    changed: number,
    isFresh: (answer: Answer<Body>) => boolean,
    patience: number,
  ): Promise<Verdict<Body>> {
    this.checks++;
    for (let oldReads = 0; ; oldReads++) {
      const last = await this.http.send<Body>('GET', url);
      const fresh = isFresh(last);
      if (fresh || last.begun - changed > patience) {
        this.oldReads += oldReads;
        if (!fresh) this.stale++;
        return { last, fresh, oldReads, ms: last.ended - changed };
      }
    }
  }
}
