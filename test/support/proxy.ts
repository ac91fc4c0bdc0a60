import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { HOST } from './redis.js';

/** `up` is data from clients, `down` data from the server. */
export type Direction = 'up' | 'down';

/** A TCP proxy that a test can make faulty; without faults it passes everything. */
export interface Proxy {
  readonly port: number;
  readonly url: string;
  /** Number of open links. */
  readonly links: number;
  /** Number of chunks, or ends of a link, that were swallowed. */
  readonly swallowed: number;
  /**
   * Makes links half-open: bytes vanish, in one direction or both, and the end
   * of a link is not passed on either. New links behave the same.
   */
  swallow(direction?: Direction): void;
  /**
   * Ends the fault. A link whose bytes were swallowed stays dead, as its TCP
   * connection would; new links work.
   */
  pass(): void;
  /** Delays bytes by this time, in order, both ways; 0 is no delay. */
  delay(ms: number): void;
  /** Resets every open link; new ones work. */
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
  /** Directions in which bytes were swallowed: later bytes would make no sense. */
  readonly #dead = new Set<Direction>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Delayed actions in order, since of two timers the later one may fire first. */
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
    // Also after a reset, which an 'error' reports first.
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
