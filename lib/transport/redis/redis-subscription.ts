import type { Cluster, Redis } from 'ioredis';
import type { TransportListener } from '../invalidation.transport.js';
import { reconnectDelay } from '../../common/index.js';
import type { ConnectionNames } from './connection-names.js';
import { withoutCommand } from './client-errors.js';
import { openingTime } from './keep-open.js';
import { openSubscription } from './open-subscription.js';
import type { ChannelOptions } from './redis-channel.js';

/**
 * The connection of the subscription: opened and subscribed, and opened again
 * whenever it ends, until it is closed.
 *
 * @internal
 */
export class RedisSubscription {
  #connection: Redis | null = null;
  #retry: NodeJS.Timeout | null = null;
  #attempt = 0;
  #subscribed = false;
  /** The connection's mode since it subscribed: 'normal' in RESP3. */
  #mode: Redis['mode'] | null = null;
  #closed = false;
  /** The node of a cluster that owns the shard channel, `host:port`. */
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
    // The shard channel moved to another node.
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
          // After an earlier error this one only repeats that the connection closed.
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

  /** Opens the connection now, if the next try is still to come. */
  hasten(): void {
    if (this.#retry === null) return;
    clearTimeout(this.#retry);
    this.open();
  }

  /**
   * Resolves once the subscription has answered.
   *
   * @throws Error if nothing is subscribed
   */
  async ping(): Promise<void> {
    const connection = this.#connection;
    if (connection === null || !this.#subscribed) {
      throw new Error('Not subscribed.');
    }
    await connection.ping();
    // Redis reports nothing when a shard channel has moved: the mode changes.
    if (connection.mode === this.#mode) return;
    this.reconnect();
    throw new Error('The channel moved to another node.');
  }

  /** Opens a new connection at once: a dead link takes long to end. */
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

  /** @returns whether the error names another node to subscribe to */
  #follow({ message }: Error, { options }: Redis): boolean {
    const [, host, port] = /^MOVED \d+ (\S*):(\d+)$/.exec(message) ?? [];
    // A node that does not know its address means the address it was reached by.
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
    if (connection !== this.#connection) return;
    // ioredis reports the acknowledgement after a message in the same packet.
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

  #whileOpen(report: () => void): void {
    if (!this.#closed) report();
  }
}
