import type { Answer, HttpClient } from './http.client.js';

/** How reads of one URL went after a change. */
export interface Verdict<Body> {
  readonly last: Answer<Body>;
  readonly fresh: boolean;
  /** How many reads still got the old state. */
  readonly oldReads: number;
  /** From the answer to the change until the end of the first fresh read. */
  readonly ms: number;
}

/**
 * Reads after a change until the change shows, and keeps count.
 *
 * The answer to a change comes once Redis has the message, and a read that
 * follows at once may overtake that message on its way to the gateway: such an
 * old read is counted and told. One that begins later than the patience allows
 * and is old all the same is stale, and fails the demo.
 */
export class FreshnessJudge {
  /** Changes whose effect was looked for. */
  checks = 0;
  /** Reads that were old, but not for longer than is allowed. */
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
