import { once } from 'node:events';
import {
  connect,
  createServer,
  type AddressInfo,
  type NetConnectOpts,
  type Socket,
} from 'node:net';
import { HOST } from '../services.js';

const REDIS_PORT = 6379;

/**
 * A connection from one service to its Redis that can be cut, as a broken switch or
 * a firewall does by chance.
 */
export class RedisLink {
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  /** @param target Redis itself, which cuts of this link do not affect */
  private constructor(readonly target: URL) {}

  /** @param redisUrl without TLS, since the certificate would be for another host */
  static async open(redisUrl: string): Promise<RedisLink> {
    const link = new RedisLink(new URL(redisUrl));
    await once(link.#server.listen(0, HOST), 'listening');
    // The link must not keep its process alive.
    link.#server.unref();
    return link;
  }

  /** The URL to connect to instead. */
  get url(): string {
    const url = new URL(this.target);
    url.hostname = HOST;
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Resets all connections, and new ones until the link is restored. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  restore(): void {
    this.#isCut = false;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.resetAndDestroy();
      return;
    }
    const redis = connect(this.#address);
    this.#carry(client, redis);
    this.#carry(redis, client);
  }

  get #address(): NetConnectOpts {
    const { hostname, port } = this.target;
    return { host: hostname || HOST, port: Number(port || REDIS_PORT) };
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.setNoDelay(true).pipe(to);
    // 'close' follows each error.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
