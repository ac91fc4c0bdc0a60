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
 * A way from one service to its Redis that can be cut: what a broken switch or a
 * firewall does by chance.
 */
export class RedisLink {
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  /** @param target where it leads: Redis itself, which no cut of this link reaches */
  private constructor(readonly target: URL) {}

  /** @param redisUrl without TLS, whose certificate would be for another host */
  static async open(redisUrl: string): Promise<RedisLink> {
    const link = new RedisLink(new URL(redisUrl));
    await once(link.#server.listen(0, HOST), 'listening');
    // It ends with its process, and must not hold that up.
    link.#server.unref();
    return link;
  }

  /** What to connect to instead. */
  get url(): string {
    const url = new URL(this.target);
    url.hostname = HOST;
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Resets what is connected, and whatever connects until it is restored. */
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
    // Of an error 'close' tells as well.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
