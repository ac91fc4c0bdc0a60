import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';

/** Of the script; or of the command, as of some proxies. */
const UNKNOWN = /^NOSCRIPT|unknown command\W+evalsha\b/i;

type Arguments = readonly (string | number)[];

/** A call that waits for those before it. */
interface Held {
  readonly args: Arguments;
  readonly resolve: (answer: Promise<unknown>) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Calls of one script, many at a time, which Redis runs in the order in which
 * they were made: also where it does not know the script (any more), which the
 * calls under way are told one by one.
 *
 * The script must be nobody else's: then none of the calls after the one that
 * was refused can find it, until this one loads it again. Meanwhile whatever is
 * new is held, and once all under way are answered everything goes out in order.
 *
 * @internal
 */
export class ScriptCalls {
  readonly #sha: string;
  /** Sent on this connection, or a call is under way that loads it. */
  #loaded = false;
  #underWay = 0;
  /** Refused, in the order of the calls. */
  #refused: Held[] = [];
  #held: Held[] = [];
  /** Counts what was given up: answers to it are of no use. */
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

  /** The connection broke, or answers no more. The next one may lead elsewhere. */
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
