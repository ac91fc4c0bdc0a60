import type { Cluster, Redis } from 'ioredis';
import { Deadlines } from '../common/index.js';
import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { MessageSigner } from '../signing/index.js';
import {
  isCluster,
  ManagedRedis,
  openCommands,
  RedisJournal,
} from '../transport/index.js';
import type { Target } from './target.js';

/** Entries that a journal keeps at the least: the default of the services. @internal */
export const LEAST_KEPT = 50_000;

/** The connection of one command. @internal */
export class RedisLink {
  readonly journal: RedisJournal;
  /** `null` where nothing is signed. */
  readonly signer: MessageSigner | null;
  readonly #redis: ManagedRedis;
  readonly #waits = new Deadlines();
  #cause: Error | null = null;

  constructor(readonly target: Target) {
    this.#redis = new ManagedRedis(openCommands(target.connection), {
      answerTimeout: target.timeout,
      lateError: () => lateError('a command', target.timeout),
      brokenError: () => new Error('The connection broke.'),
      reopenWhenLate: false,
      onError: (cause) => (this.#cause = cause),
    });
    this.signer = MessageSigner.of(target.signing, target.channel);
    this.journal = this.journalKeeping(LEAST_KEPT);
  }

  get client(): Redis | Cluster {
    return this.#redis.client;
  }

  journalKeeping(maxLength: number): RedisJournal {
    const { channel, sharded } = this.target;
    return new RedisJournal(
      this.client,
      { channel, sharded, maxLength },
      this.signer,
    );
  }

  /** @throws InvalidationRedisError that says why Redis cannot be reached. */
  async connect(): Promise<void> {
    try {
      await this.waitFor('a connection', this.#open());
    } catch (error) {
      throw new InvalidationRedisError(
        `Cannot reach Redis at ${this.target.where}: ${describeCause(this.#cause ?? (error as Error))}.`,
        'See that it runs, and that --url or REDIS_URL leads to it.',
        error,
      );
    }
  }

  // A cluster is ready before its nodes are, and fails commands for a node that is
  // connecting; so each node answers a PING first. One that is away fails later.
  async #open(): Promise<void> {
    await this.client.connect();
    if (!isCluster(this.client)) return;
    const nodes = this.client.nodes('master');
    await Promise.allSettled(nodes.map((node) => node.ping()));
  }

  /**
   * Bounds a command in time.
   *
   * @param command for the error's message: "Redis has not answered …"
   * @throws InvalidationTimeoutError if Redis does not answer in time.
   */
  within<T>(command: string, answer: Promise<T>): Promise<T> {
    return this.#redis.answered(answer, () =>
      lateError(command, this.target.timeout),
    );
  }

  /** Bounds a promise that outlives a broken connection, in the same time. */
  waitFor<T>(what: string, promise: Promise<T>): Promise<T> {
    const { timeout } = this.target;
    return this.#waits.within(timeout, promise, () => lateError(what, timeout));
  }

  /** Opens a new connection in place of one that does not answer. */
  reopen(): void {
    this.#redis.reopen();
  }

  close(): void {
    const error = new Error('The connection was closed.');
    this.#waits.cancel(error);
    this.#redis.close(error);
  }
}

/** Opens a link for one piece of work, and closes it in any case. @internal */
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
