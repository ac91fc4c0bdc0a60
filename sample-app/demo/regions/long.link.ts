import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { HOST } from '../../shared/services.js';

/**
 * The way from one region to the Redis of another one: bytes take their time, in
 * order. While it is cut, nothing passes and nobody is told, as when a cable is broken;
 * afterwards what was sent arrives, as TCP sends it again.
 */
export class LongLink {
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  constructor(
    private readonly port: number,
    /** Milliseconds that a byte takes in one direction. */
    private readonly delay: number,
  ) {}

  async open(): Promise<void> {
    await once(this.#server.listen(0, HOST), 'listening');
  }

  get url(): string {
    return `redis://${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  heal(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    const redis = connect(this.port, HOST);
    this.#carry(client, redis);
    this.#carry(redis, client);
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    // Two timers may fire in the other order.
    const late: (() => void)[] = [];
    const later = (act: () => void): void => {
      late.push(act);
      setTimeout(() => late.shift()?.(), this.delay);
    };
    from.setNoDelay(true);
    from.on('data', (bytes) => later(() => to.write(bytes)));
    // 'close' follows each error.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#sockets.delete(from);
      later(() => to.destroy());
    });
    if (this.#isCut) from.pause();
  }
}
