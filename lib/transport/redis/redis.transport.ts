import type { Cluster, Redis } from 'ioredis';
import { InvalidationTimeoutError } from '../../errors/index.js';
import {
  InvalidationTransport,
  type PublishReply,
  type TransportListener,
} from '../invalidation.transport.js';
import {
  isClient,
  openClient,
  publishingNode,
  resends,
  withoutCommand,
  type RedisConnection,
} from './redis.connection.js';
import { RedisSubscription } from './redis.subscription.js';

/**
 * How long a publish may stay unanswered (at most twice that) before it counts
 * as failed. Far
 * beyond what a caller waits: a slow Redis must be allowed to be slow. ioredis
 * can leave a promise unsettled for ever.
 */
const UNANSWERED_MS = 10_000;

/**
 * Redis Pub/Sub: one connection for commands, one for the subscription.
 *
 * @internal
 */
export class RedisTransport extends InvalidationTransport {
  readonly #client: Redis | Cluster;
  readonly #owned: boolean;
  readonly #channel: string;
  /** What fails each, and since when it waits. */
  readonly #unanswered = new Map<(error: Error) => void, number>();
  #sweeper: NodeJS.Timeout | null = null;
  #subscription: RedisSubscription | null = null;
  #closed = false;
  #stopListening = (): void => undefined;

  constructor(options: { connection: RedisConnection; channel: string }) {
    super();
    this.#owned = !isClient(options.connection);
    this.#client = isClient(options.connection)
      ? options.connection
      : openClient(options.connection);
    this.#channel = options.channel;
  }

  get writable(): boolean {
    return !this.#closed && this.#client.status === 'ready';
  }

  start(listener: TransportListener): void {
    this.#listen(listener);
    // A lazy client of the application's is ours to wake; its errors are told
    // by its 'error' event.
    if (this.#client.status === 'wait') {
      this.#client.connect().catch(() => undefined);
    }
    this.#subscription = new RedisSubscription(
      this.#client,
      this.#channel,
      listener,
    );
    this.#subscription.open();
    if (this.writable) listener.onWritable();
  }

  publish(payloads: readonly string[]): Promise<PublishReply[]> {
    if (this.#closed) {
      return Promise.resolve(payloads.map(closedError));
    }
    const node = publishingNode(this.#client);
    if (node === null) {
      return Promise.resolve(payloads.map(() => new Error('No master node.')));
    }
    return this.#answered(this.#send(node, payloads), payloads.length);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#subscription?.close();
    this.#stopListening();
    this.#failUnanswered(closedError());
    if (this.#sweeper !== null) clearTimeout(this.#sweeper);
    if (this.#owned) this.#client.disconnect();
  }

  #listen(listener: TransportListener): void {
    const client = this.#client;
    const ready = (): void => listener.onWritable();
    const error = (cause: Error): void =>
      listener.onError(withoutCommand(cause));
    // What ioredis was told not to resend it does not fail either.
    const close = (): void => {
      if (!resends(client)) {
        this.#failUnanswered(new Error('The connection broke.'));
      }
    };
    client.on('close', close);
    client.on('ready', ready);
    client.on('error', error);
    this.#stopListening = () => {
      client.off('close', close);
      client.off('ready', ready);
      client.off('error', error);
      // A client that is closing may still emit, and 'error' without a listener
      // is printed by ioredis.
      if (this.#owned) client.on('error', () => undefined);
    };
  }

  async #send(
    node: Redis,
    payloads: readonly string[],
  ): Promise<PublishReply[]> {
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) {
      // A client of the application's may answer numbers as text.
      const receivers: unknown = await node.publish(this.#channel, first);
      return [Number(receivers)];
    }
    const pipeline = node.pipeline();
    for (const payload of payloads) pipeline.publish(this.#channel, payload);
    const results = (await pipeline.exec()) ?? [];
    return results.map(([error, receivers]) =>
      error === null ? Number(receivers) : withoutCommand(error),
    );
  }

  #answered(
    sent: Promise<PublishReply[]>,
    count: number,
  ): Promise<PublishReply[]> {
    return new Promise((resolve) => {
      const settle = (replies: PublishReply[]): void => {
        this.#unanswered.delete(fail);
        resolve(replies);
      };
      const fail = (error: Error): void =>
        settle(Array.from({ length: count }, () => withoutCommand(error)));
      this.#unanswered.set(fail, performance.now());
      this.#sweeper ??= setTimeout(() => this.#sweep(), UNANSWERED_MS);
      sent.then(settle, fail);
    });
  }

  #failUnanswered(error: Error): void {
    for (const fail of this.#unanswered.keys()) fail(error);
  }

  /** One timer for all, and not one for each: they are rarely needed. */
  #sweep(): void {
    this.#sweeper = null;
    const overdue = performance.now() - UNANSWERED_MS;
    for (const [fail, since] of this.#unanswered) {
      if (since <= overdue) fail(unansweredError());
    }
    if (this.#unanswered.size > 0) {
      this.#sweeper = setTimeout(() => this.#sweep(), UNANSWERED_MS);
    }
  }
}

function closedError(): Error {
  return new Error('The transport was closed.');
}

function unansweredError(): Error {
  return new InvalidationTimeoutError(
    `Redis left a publish unanswered for ${UNANSWERED_MS} ms.`,
    'It will be sent again.',
    UNANSWERED_MS,
  );
}
