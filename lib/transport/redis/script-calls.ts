import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';

/** Redis does not know the script, or a proxy does not know EVALSHA. */
const UNKNOWN = /^NOSCRIPT|unknown command\W+evalsha\b/i;

type Arguments = readonly (string | number)[];

/** A call that waits for the calls before it. */
interface Held {
  readonly args: Arguments;
  readonly resolve: (answer: Promise<unknown>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Calls of one script, many at a time, which Redis runs in the order in which they
 * were made, even if its script cache is flushed in between.
 *
 * The script must belong to this object alone: after a call that Redis refused for
 * want of the script, every later call is then refused as well, until the script is
 * loaded from here. New calls are held meanwhile. Once all calls under way are
 * answered, the refused and the held ones are sent in order, the first with the
 * script.
 *
 * @internal
 */
export class ScriptCalls {
  readonly #sha: string;
  /** Whether a call has been sent on this connection that loads the script. */
  #loaded = false;
  #underWay = 0;
  /** Refused calls, in order. */
  #refused: Held[] = [];
  #held: Held[] = [];
  /** Number of `abandon()`s; answers to calls of an earlier epoch change nothing. */
  #epoch = 0;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly script: string,
  ) {
    this.#sha = createHash('sha1').update(script).digest('hex');
  }

  /** @param args the number of keys, the keys, the arguments */
  call(args: Arguments): Promise<unknown> {
    return this.#refused.length === 0
      ? this.#send(args)
      : new Promise((resolve, reject) =>
          this.#held.push({ args, resolve, reject }),
        );
  }

  /**
   * Gives up all calls: the connection broke or does not answer, and the next one
   * may lead to another server.
   */
  abandon(error: Error): void {
    const waiting = [...this.#refused, ...this.#held];
    this.#refused = [];
    this.#held = [];
    this.#loaded = false;
    this.#underWay = 0;
    this.#epoch++;
    for (const { reject } of waiting) reject(error);
  }

  async #send(args: Arguments): Promise<unknown> {
    const epoch = this.#epoch;
    const wasLoaded = this.#loaded;
    this.#loaded = true;
    this.#underWay++;
    try {
      return await (wasLoaded
        ? this.client.evalsha(this.#sha, ...(args as [number, ...string[]]))
        : this.client.eval(this.script, ...(args as [number, ...string[]])));
    } catch (error) {
      const isUnknown = UNKNOWN.test((error as Error).message);
      if (epoch !== this.#epoch || !isUnknown) throw error;
      return new Promise((resolve, reject) =>
        this.#refused.push({ args, resolve, reject }),
      );
    } finally {
      if (epoch === this.#epoch) this.#answered();
    }
  }

  #answered(): void {
    this.#underWay--;
    if (this.#underWay > 0 || this.#refused.length === 0) return;
    const waiting = [...this.#refused, ...this.#held];
    this.#refused = [];
    this.#held = [];
    this.#loaded = false;
    for (const { args, resolve } of waiting) resolve(this.#send(args));
  }
}
