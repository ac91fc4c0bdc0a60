import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { HOST } from '../shared/services.js';

/** An answer that is held back on its way. */
export interface Hold {
  /**
   * Resolves once the service has answered: its row is read, and lacks any
   * later update.
   */
  readonly arrived: Promise<void>;
  release(): void;
}

interface Barrier {
  readonly arrived: () => void;
  readonly released: Promise<void>;
}

/**
 * A proxy in front of a service that can hold back an answer, as a slow network or
 * a busy garbage collector does by chance.
 */
export class SlowRoad {
  readonly #server = createServer(
    (request, response) => void this.#pass(request, response),
  );
  readonly #barriers = new Map<string, Barrier>();
  #target: string | null = null;

  async open(): Promise<void> {
    this.#server.listen(0, HOST);
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://${HOST}:${port}`;
  }

  leadTo(url: string): void {
    this.#target = url;
  }

  /** Holds back the next answer to a GET of this path. */
  hold(path: string): Hold {
    let arrived!: () => void;
    let release!: () => void;
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#barriers.set(path, { arrived, released });
    return {
      arrived: arrival,
      release: () => {
        this.#barriers.delete(path);
        release();
      },
    };
  }

  async #pass(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      const { method, url: path = '/', headers } = request;
      const answer = await fetch(`${this.#target}${path}`, {
        method,
        headers: { 'content-type': headers['content-type'] ?? '' },
        body: (await text(request)) || null,
      });
      const body = await answer.text();
      const barrier = this.#barriers.get(path);
      this.#barriers.delete(path);
      barrier?.arrived();
      await barrier?.released;
      const type = answer.headers.get('content-type') ?? 'application/json';
      response.writeHead(answer.status, { 'content-type': type }).end(body);
    } catch {
      // The service does not answer, so the proxy does not either.
      response.destroy();
    }
  }
}
