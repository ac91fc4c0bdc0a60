import type { ChainableCommander, Cluster, Redis } from 'ioredis';
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
  withoutCommand,
  type RedisConnection,
} from './redis.connection.js';
import { RedisSubscription } from './redis.subscription.js';

/**
 * The longest that a publish may stay unanswered before it counts as failed. Far
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
  readonly #unanswered = new Set<(error: Error) => void>();
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
    const pipeline = node.pipeline();
    for (const payload of payloads) pipeline.publish(this.#channel, payload);
    return this.#answered(pipeline, payloads.length);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#subscription?.close();
    this.#stopListening();
    this.#failUnanswered(closedError());
    if (this.#owned) this.#client.disconnect();
  }

  #listen(listener: TransportListener): void {
    const client = this.#client;
    const ready = (): void => listener.onWritable();
    const error = (cause: Error): void =>
      listener.onError(withoutCommand(cause));
    // ioredis neither resends what was unanswered (it was told not to) nor
    // fails it. A client of the application's may resend: that is its own.
    const close = (): void => {
      if (this.#owned) this.#failUnanswered(new Error('The connection broke.'));
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

  #failUnanswered(error: Error): void {
    for (const fail of this.#unanswered) fail(error);
  }

  #answered(
    pipeline: ChainableCommander,
    count: number,
  ): Promise<PublishReply[]> {
    return new Promise((resolve) => {
      const settle = (replies: PublishReply[]): void => {
        clearTimeout(timer);
        this.#unanswered.delete(fail);
        resolve(replies);
      };
      const fail = (error: Error): void =>
        settle(Array.from({ length: count }, () => error));
      const timer = setTimeout(
        () =>
          fail(
            new InvalidationTimeoutError(
              `Redis left a publish unanswered for ${UNANSWERED_MS} ms.`,
              'It will be sent again.',
              UNANSWERED_MS,
            ),
          ),
        UNANSWERED_MS,
      );
      this.#unanswered.add(fail);
      pipeline
        .exec()
        .then(
          (results) =>
            settle(
              (results ?? []).map(([error, n]) =>
                error === null ? Number(n) : withoutCommand(error),
              ),
            ),
          fail,
        );
    });
  }
}

function closedError(): Error {
  return new Error('The transport was closed.');
}
