import type { Cluster, Redis } from 'ioredis';
import type { TransportListener } from '../invalidation.transport.js';
import { reconnectDelay } from '../../common/index.js';
import type { ConnectionNames } from './connection.names.js';
import { withoutCommand } from './client-errors.js';
import { openingTime } from './keep-open.js';
import { openSubscription } from './open-subscription.js';
import type { ChannelOptions } from './redis.channel.js';

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
  /** Of the connection while it is subscribed: 'normal' in RESP3. */
  #mode: Redis['mode'] | null = null;
  #closed = false;
  /** Where a cluster says that the shard channel is, `host:port`. */
  #owner: string | null = null;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly options: ChannelOptions,
    private readonly listener: Pick<
      TransportListener,
      'onMessage' | 'onSubscribed' | 'onLost' | 'onError'
    >,
    private readonly names: ConnectionNames,
  ) {}

  open(): void {
    if (this.#closed) return;
    this.#retry = null;
    const connection = openSubscription(
      this.client,
      this.#owner,
      this.names.subscription,
    );
    if (connection === null) return this.#openLater();
    this.#connection = connection;
    let cause: Error | null = null;
    const patience = openingTime(this.client);
    const opening = setTimeout(() => {
      cause = new Error(`No answer within ${patience} ms`);
      connection.disconnect();
    }, patience);
    connection.on('error', (error: Error) => {
      cause = error;
      this.#whileOpen(() => this.listener.onError(withoutCommand(error)));
    });
    connection.on('connect', () => opening.refresh());
    connection.on('ready', () => opening.refresh());
    connection.once('end', () => {
      clearTimeout(opening);
      this.#ended(connection, cause);
    });
    // The shard channel went to another node.
    connection.on('moved', () => this.reconnect());
    connection.on(
      this.options.sharded ? 'smessage' : 'message',
      (_channel: string, payload: string) =>
        this.#received(connection, payload),
    );
    connection
      .connect()
      .then(() => this.#subscribe(connection))
      .then(
        () => {
          clearTimeout(opening);
          this.#acknowledged(connection);
        },
        (error: Error) => {
          // Otherwise it only says that the connection is closed by now.
          const isNews = cause === null;
          cause ??= error;
          if (this.#follow(error, connection)) {
            this.#attempt = 0;
          } else if (isNews) {
            this.#whileOpen(() => this.listener.onError(withoutCommand(error)));
          }
          connection.disconnect();
        },
      );
  }

  /** Opens now what waits for its next try. */
  hasten(): void {
    if (this.#retry === null) return;
    clearTimeout(this.#retry);
    this.open();
  }

  /** Rejects if there is no subscription to ask. */
  async ping(): Promise<void> {
    const connection = this.#connection;
    if (connection === null || !this.#subscribed) {
      throw new Error('Not subscribed.');
    }
    await connection.ping();
    // A shard channel that went elsewhere is unsubscribed without a word.
    if (connection.mode === this.#mode) return;
    this.reconnect();
    throw new Error('The channel went to another node.');
  }

  /** At once: a dead link takes its time to end. */
  reconnect(): void {
    const connection = this.#connection;
    if (connection === null) return;
    connection.disconnect();
    this.#ended(connection, new Error('it did not answer'));
    this.hasten();
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#connection?.disconnect();
  }

  #subscribe(connection: Redis): Promise<unknown> {
    const { sharded, channel } = this.options;
    return sharded
      ? connection.ssubscribe(channel)
      : connection.subscribe(channel);
  }

  /** @returns whether the error says where else to subscribe */
  #follow({ message }: Error, { options }: Redis): boolean {
    const [, host, port] = /^MOVED \d+ (\S*):(\d+)$/.exec(message) ?? [];
    // A node that does not know its address means the one that was asked.
    this.#owner = port === undefined ? null : `${host || options.host}:${port}`;
    return port !== undefined;
  }

  #acknowledged(connection: Redis): void {
    if (connection !== this.#connection || this.#subscribed) return;
    this.#attempt = 0;
    this.#subscribed = true;
    this.#mode = connection.mode;
    this.#whileOpen(() => this.listener.onSubscribed());
  }

  #received(connection: Redis, payload: string): void {
    // In one packet with the acknowledgement, of which ioredis tells later.
    if (connection !== this.#connection) return;
    if (!this.#subscribed) this.#acknowledged(connection);
    if (!this.#closed) this.listener.onMessage(payload);
  }

  #ended(connection: Redis, cause: Error | null): void {
    if (connection !== this.#connection) return;
    const wasSubscribed = this.#subscribed;
    this.#subscribed = false;
    this.#connection = null;
    if (wasSubscribed) this.#whileOpen(() => this.listener.onLost(cause));
    this.#openLater();
  }

  #openLater(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(
      () => this.open(),
      reconnectDelay(this.#attempt++),
    );
  }

  #whileOpen(tell: () => void): void {
    if (!this.#closed) tell();
  }
}
