import type { Cluster, Redis } from 'ioredis';
import type { TransportListener } from '../invalidation.transport.js';
import { retryDelay } from '../retry-delay.js';
import { openSubscription, withoutCommand } from './redis.connection.js';

/**
 * The subscriber connection: opened, subscribed, and opened anew whenever it
 * ends, until it is closed.
 *
 * @internal
 */
export class RedisSubscription {
  #connection: Redis | null = null;
  #retry: NodeJS.Timeout | null = null;
  #attempt = 0;
  #subscribed = false;
  #closed = false;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly channel: string,
    private readonly listener: Pick<
      TransportListener,
      'onMessage' | 'onSubscribed' | 'onLost' | 'onError'
    >,
  ) {}

  open(): void {
    if (this.#closed) return;
    const connection = openSubscription(this.client);
    if (connection === null) return this.#openLater();
    this.#connection = connection;
    let cause: Error | null = null;
    connection.on('error', (error: Error) => {
      cause = error;
      this.#whileOpen(() => this.listener.onError(withoutCommand(error)));
    });
    connection.once('end', () => this.#ended(cause));
    connection.on('message', (_channel: string, payload: string) =>
      this.#received(connection, payload),
    );
    connection
      .connect()
      .then(() => connection.subscribe(this.channel))
      .then(
        () => this.#acknowledged(connection),
        (error: Error) => {
          cause ??= error;
          this.#whileOpen(() => this.listener.onError(withoutCommand(error)));
          connection.disconnect();
        },
      );
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#connection?.disconnect();
  }

  #acknowledged(connection: Redis): void {
    if (connection !== this.#connection || this.#subscribed) return;
    this.#attempt = 0;
    this.#subscribed = true;
    this.#whileOpen(() => this.listener.onSubscribed());
  }

  #received(connection: Redis, payload: string): void {
    // In one packet with the acknowledgement, of which ioredis tells later.
    if (!this.#subscribed) this.#acknowledged(connection);
    if (!this.#closed) this.listener.onMessage(payload);
  }

  #ended(cause: Error | null): void {
    const wasSubscribed = this.#subscribed;
    this.#subscribed = false;
    this.#connection = null;
    if (wasSubscribed) this.#whileOpen(() => this.listener.onLost(cause));
    this.#openLater();
  }

  #openLater(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.open(), retryDelay(this.#attempt++));
  }

  #whileOpen(tell: () => void): void {
    if (!this.#closed) tell();
  }
}
