import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { HOST } from './redis.js';

/** `up` is what clients say, `down` what the server answers. */
export type Direction = 'up' | 'down';

/** A TCP link to a server that a test makes faulty. It passes everything at first. */
export interface Proxy {
  readonly port: number;
  readonly url: string;
  /** How many links are open. */
  readonly links: number;
  /** How often bytes, or the end of a link, were swallowed. */
  readonly swallowed: number;
  /**
   * Half-open from now on: bytes vanish, in one direction or both, and nobody is
   * told that the other end has closed. New links are accepted and are no better.
   */
  swallow(direction?: Direction): void;
  /**
   * Heals. A link of which bytes were swallowed stays dead, as its TCP would be:
   * new ones work.
   */
  pass(): void;
  /** Bytes arrive this much later, in order, both ways; 0 is no delay. */
  delay(ms: number): void;
  /** Resets every link that is open; new ones work. */
  cut(): void;
  close(): Promise<void>;
}

/**
 * Stands between a client and the server at `targetPort`.
 *
 * @example
 * const proxy = await startProxy(redis.port);
 * onTestFinished(() => proxy.close());
 */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const proxy = new TcpProxy(targetPort);
  await proxy.listen();
  return proxy;
}

class TcpProxy implements Proxy {
  readonly #server = createServer({ allowHalfOpen: true }, (client) =>
    this.#accept(client),
  );
  readonly #links = new Set<Link>();
  readonly #swallowing = new Set<Direction>();
  #swallowed = 0;
  #delay = 0;

  constructor(private readonly targetPort: number) {}

  async listen(): Promise<void> {
    await once(this.#server.listen(0, HOST), 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  get links(): number {
    return this.#links.size;
  }

  get swallowed(): number {
    return this.#swallowed;
  }

  swallow(direction?: Direction): void {
    const directions = direction ? [direction] : (['up', 'down'] as const);
    for (const each of directions) this.#swallowing.add(each);
  }

  pass(): void {
    this.#swallowing.clear();
  }

  delay(ms: number): void {
    this.#delay = ms;
  }

  cut(): void {
    for (const link of this.#links) link.destroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    const server = connect({
      port: this.targetPort,
      host: HOST,
      allowHalfOpen: true,
    });
    const link = new Link(
      client,
      server,
      {
        swallows: (direction) => this.#swallowing.has(direction),
        swallowed: () => this.#swallowed++,
        delay: () => this.#delay,
      },
      () => this.#links.delete(link),
    );
    this.#links.add(link);
  }
}

interface Weather {
  swallows(direction: Direction): boolean;
  swallowed(): void;
  delay(): number;
}

/** One client's connection, and ours to the server on its behalf. */
class Link {
  /** Bytes of theirs are missing: what comes after them would make no sense. */
  readonly #dead = new Set<Direction>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** What is late, in order: of two timers the later one may fire first. */
  readonly #late: Record<Direction, (() => void)[]> = { up: [], down: [] };

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly weather: Weather,
    private readonly gone: () => void,
  ) {
    this.#carry('up', client, server);
    this.#carry('down', server, client);
  }

  destroy(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
    this.gone();
  }

  #carry(direction: Direction, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on('data', (bytes) => this.#pass(direction, () => to.write(bytes)));
    // Also after a reset, of which an 'error' tells first.
    from.on('close', () => this.#pass(direction, () => this.destroy()));
    from.on('end', () => this.#pass(direction, () => to.end()));
    from.on('error', () => undefined);
  }

  #pass(direction: Direction, act: () => void): void {
    if (this.weather.swallows(direction)) this.#dead.add(direction);
    if (this.#dead.has(direction)) return this.weather.swallowed();
    const late = this.#late[direction];
    const delay = this.weather.delay();
    if (delay === 0 && late.length === 0) return act();
    late.push(act);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      late.shift()?.();
    }, delay);
    this.#timers.add(timer);
  }
}
