import type { Cluster, Redis } from 'ioredis';
import { withoutCommand } from './client-errors.js';
import { nodesOf } from './cluster-nodes.js';
import { keepOpen } from './keep-open.js';
import { isCluster } from './redis-connection.js';

/** States that `reopen()` ends; in any other one ioredis reconnects by itself. */
const OPEN = ['connecting', 'connect', 'ready'];

/** @internal */
export interface ManagedRedisOptions {
  /** Milliseconds that Redis may take to answer a command. */
  readonly answerTimeout: number;
  /** The error of a command that was not answered in time. */
  readonly lateError: () => Error;
  /** The error of a command whose connection broke. */
  readonly brokenError: () => Error;
  /**
   * Whether one late answer means that the connection is dead: then it is opened
   * again, and all commands under way fail. Otherwise only the late one fails.
   */
  readonly reopenWhenLate: boolean;
  /** Commands are answered now: at first, and after each loss. */
  readonly onReady?: () => void;
  /** A connection, in a cluster to any node, is lost. */
  readonly onLost?: () => void;
  /** The answer to some command will not be used, though it may still come. */
  readonly onAbandoned?: (error: Error) => void;
  readonly onError: (cause: Error) => void;
}

/**
 * A command under way. A set's table in old memory, which V8 has replaced by a larger
 * one, keeps alive what it held until the next full collection: this little, without
 * the command.
 */
interface Unanswered {
  /** When it was sent, by `performance.now()`. */
  readonly since: number;
  readonly lateError: () => Error;
  /** Rejects it; `null` once it is settled. */
  fail: ((error: Error) => void) | null;
}

/**
 * The owner of an ioredis client for commands: keeps it open, opens it again when
 * it leads to the wrong server or does not answer, and settles every command. ioredis
 * leaves commands unsettled when their connection breaks.
 *
 * @internal
 */
export class ManagedRedis {
  /** Commands under way, oldest first. */
  readonly #unanswered = new Set<Unanswered>();
  readonly #stopKeepingOpen: () => void;
  #watch: NodeJS.Timeout | null = null;
  #closed = false;
  /** Being disconnected by `reopen()`; ioredis says "ready" until that is done. */
  #reopening = false;

  /** @param client not connected yet */
  constructor(
    readonly client: Redis | Cluster,
    private readonly options: ManagedRedisOptions,
  ) {
    this.#stopKeepingOpen = keepOpen(client);
    client.on('connecting', () => (this.#reopening = false));
    client.on('ready', () => {
      this.#reopening = false;
      if (!this.#closed) options.onReady?.();
    });
    const lost = (): void => {
      if (!this.#closed) options.onLost?.();
    };
    if (isCluster(client)) {
      client.on('+node', (node: Redis) => node.on('close', lost));
    }
    const broke = (): void => {
      this.#reopening = false;
      this.#failAll(options.brokenError());
      lost();
    };
    client.on('close', broke);
    // Without a 'close' if there was no socket yet.
    client.on('end', broke);
    // Also once closed: ioredis prints an 'error' that has no listener.
    client.on('error', (cause: Error) => {
      if (!this.#closed) options.onError(withoutCommand(cause));
    });
  }

  /** Whether a command would be answered now, as far as is known. */
  get writable(): boolean {
    return !this.#closed && !this.#reopening && this.client.status === 'ready';
  }

  /** Connects, and stays connected until `close()`. */
  open(): void {
    // A command connects too, if it is sent earlier.
    if (this.client.status !== 'wait') return;
    // The 'error' event reports a failure.
    this.client.connect().catch(() => undefined);
  }

  /**
   * Opens a new connection in place of the one that is open or being opened.
   * Otherwise ioredis is about to reconnect and cannot be hastened: a second
   * connect() leaves a timer behind that outlives disconnect().
   */
  reopen(): void {
    // Many commands under way may fail for the same reason.
    if (this.#closed || this.#reopening) return;
    if (!OPEN.includes(this.client.status)) return;
    this.#reopening = true;
    // A cluster opens the connections of its nodes again by itself.
    this.client.disconnect(true);
  }

  /**
   * Settles as the command does, and within `answerTimeout` in any case. Errors do
   * not carry the command.
   */
  answered<T>(
    sent: Promise<T>,
    lateError: () => Error = this.options.lateError,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const command: Unanswered = {
        since: performance.now(),
        lateError,
        fail: reject,
      };
      this.#unanswered.add(command);
      if (!this.#closed)
        this.#watch ??= this.#watchFor(this.options.answerTimeout);
      sent.then(
        (answer) => {
          this.#settle(command);
          resolve(answer);
        },
        (error: Error) => {
          // A command that was given up has an error of ours, not of Redis.
          if (this.#settle(command) !== null) this.#learnFrom(error);
          reject(withoutCommand(error));
        },
      );
    });
  }

  /** @param error rejects the commands under way */
  close(error: Error): void {
    this.#closed = true;
    this.#failAll(error);
    this.#stopKeepingOpen();
    this.client.disconnect();
  }

  /** Some refusals mean that the connection leads to the wrong server by now. */
  #learnFrom({ message }: Error): void {
    if (this.#closed) return;
    const { client } = this;
    // Slots may have moved.
    if (isCluster(client)) client.refreshSlotsCache();
    // A cluster can be ready without a node; one that is being opened has none yet.
    const isLost = client.status === 'ready' && nodesOf(client).length === 0;
    if (isLost || message.includes('READONLY')) this.reopen();
  }

  /** One timer for all commands: it is rarely needed. */
  #watchFor(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#watch = null;
      this.#failLate();
    }, ms);
  }

  #failLate(): void {
    const { answerTimeout, lateError, reopenWhenLate } = this.options;
    for (const command of this.#unanswered) {
      const left = command.since + answerTimeout - performance.now();
      if (left > 0) {
        this.#watch = this.#watchFor(left);
        return;
      }
      if (reopenWhenLate) {
        this.options.onError(lateError());
        this.reopen();
        return this.#failAll(lateError());
      }
      this.options.onAbandoned?.(lateError());
      this.#settle(command)?.(command.lateError());
    }
  }

  /** @returns the function that rejects the command; `null` if it was settled */
  #settle(command: Unanswered): Unanswered['fail'] {
    const { fail } = command;
    command.fail = null;
    this.#unanswered.delete(command);
    return fail;
  }

  #failAll(error: Error): void {
    this.options.onAbandoned?.(error);
    if (this.#watch !== null) clearTimeout(this.#watch);
    this.#watch = null;
    for (const command of this.#unanswered) this.#settle(command)?.(error);
  }
}
