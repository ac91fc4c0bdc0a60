import type { Cluster, Redis } from 'ioredis';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { isCluster, openCommands, RedisJournal } from '../transport/index.js';
import type { Target } from './target.js';

/** What a journal keeps at the least: as long as services do unless told. @internal */
export const LEAST_KEPT = 50_000;

/** The connection of one command, each answer within its time. @internal */
export class RedisLink {
  readonly client: Redis | Cluster;
  readonly journal: RedisJournal;
  #cause: Error | null = null;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(readonly target: Target) {
    this.client = openCommands(target.connection);
    this.client.on('error', (cause: Error) => (this.#cause = cause));
    this.journal = this.journalKeeping(LEAST_KEPT);
  }

  journalKeeping(maxLength: number): RedisJournal {
    const { channel, sharded } = this.target;
    return new RedisJournal(this.client, channel, { maxLength, sharded });
  }

  /** @throws InvalidationRedisError that says why it cannot be reached. */
  async connect(): Promise<void> {
    try {
      await this.within('a connection', this.#open());
    } catch (error) {
      throw new InvalidationRedisError(
        `Cannot reach Redis at ${this.target.where}: ${describeCause(this.#cause ?? (error as Error))}.`,
        'See that it runs, and that --url or REDIS_URL leads to it.',
        error,
      );
    }
  }

  // A cluster is ready before its nodes are, and refuses what is for one that is
  // connecting; so each is asked something first. One that is away fails later.
  async #open(): Promise<void> {
    await this.client.connect();
    if (!isCluster(this.client)) return;
    const nodes = this.client.nodes('master');
    await Promise.allSettled(nodes.map((node) => node.ping()));
  }

  /** @throws InvalidationTimeoutError if it takes too long. */
  async within<T>(what: string, answer: Promise<T>): Promise<T> {
    const { timeout } = this.target;
    return new Promise((resolve, reject) => {
      const late = (): void => reject(lateError(what, timeout));
      const timer = setTimeout(late, timeout);
      this.#timers.add(timer);
      answer.then(resolve, reject).finally(() => this.#forget(timer));
    });
  }

  /** What is waited for now will not settle: nobody needs it any more. */
  close(): void {
    for (const timer of this.#timers) this.#forget(timer);
    this.client.disconnect();
  }

  #forget(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

/** Opens a link for one piece of work, and closes it whatever becomes of that. @internal */
export async function withLink<T>(
  target: Target,
  work: (link: RedisLink) => Promise<T>,
): Promise<T> {
  const link = new RedisLink(target);
  try {
    await link.connect();
    return await work(link);
  } finally {
    link.close();
  }
}

function lateError(what: string, timeout: number): InvalidationTimeoutError {
  return new InvalidationTimeoutError(
    `Redis has not answered ${what} for ${timeout} ms.`,
    'See whether it hangs, or give it longer by --timeout.',
    timeout,
  );
}
