import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const HOST = '127.0.0.1';
/** Bytes that may wait in one direction of a slow link: a link is no store. */
const IN_FLIGHT_BYTES = 1 << 20;
/** The command itself, since its name may also be an argument of another command. */
const SUBSCRIBE = /\*2\r\n\$\d+\r\ns?subscribe\r\n/i;

/**
 * A TCP proxy between one application and one server, which can fail as networks
 * do.
 */
export class Link {
  #server;
  /** Ports of the servers to which connections lead in turn. */
  #targets;
  #opened = 0;
  #connections = new Set();
  #severed = false;
  /** Behaviour of connections that are opened during a black hole. */
  #silence = null;
  /** Milliseconds that the next bytes take. */
  latency;
  /** The latency without a fault. */
  #usual;

  /** @param latency milliseconds in each direction, anew for each packet */
  static async open(targetPort, latency = () => 0) {
    const link = new Link(targetPort, latency);
    link.#server.listen(0, HOST);
    await once(link.#server, 'listening');
    return link;
  }

  constructor(targetPort, latency) {
    this.#targets = [targetPort];
    this.#usual = latency;
    this.latency = latency;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (app) =>
      this.#connect(app),
    );
  }

  get port() {
    return this.#server.address().port;
  }

  /** Breaks all connections and refuses new ones, until `heal()`. */
  sever() {
    this.#severed = true;
    this.drop();
  }

  /** Breaks all connections; new ones work. */
  drop() {
    for (const connection of this.#connections) connection.destroy();
  }

  /**
   * Makes the open connections half-open: from now on they swallow all data, and
   * neither side is informed. New connections work.
   *
   * @param up whether requests are swallowed
   * @param down whether answers and messages are swallowed
   * @param only `connection => boolean`
   */
  freeze({ up = true, down = true, only = () => true } = {}) {
    for (const connection of this.#connections) {
      if (only(connection)) connection.freeze({ up, down });
    }
  }

  /**
   * Like `freeze`, and new connections are accepted and swallow everything,
   * until `heal()`.
   */
  blackHole() {
    this.swallowNew();
    this.freeze();
  }

  /** Accepts new connections and swallows everything on them, until `heal()`. */
  swallowNew() {
    this.#silence = { up: true, down: true };
  }

  /** Lets new connections work. A frozen connection stays dead. */
  heal() {
    this.#severed = false;
    this.#silence = null;
    this.latency = this.#usual;
  }

  /**
   * Leads new connections to another server, as an address does after a failover, or to
   * several in turn, as a balancer does.
   */
  retarget(...ports) {
    this.#targets = ports;
  }

  async close() {
    this.sever();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(app) {
    if (this.#severed) {
      app.resetAndDestroy();
      return;
    }
    const redis = connect({
      port: this.#targets[this.#opened++ % this.#targets.length],
      host: HOST,
      allowHalfOpen: true,
      noDelay: true,
    });
    const connection = new Connection(app, redis, this);
    if (this.#silence !== null) connection.freeze(this.#silence);
    this.#connections.add(connection);
    redis.once('close', () => {
      if (app.closed) this.#connections.delete(connection);
    });
    app.once('close', () => {
      if (redis.closed) this.#connections.delete(connection);
    });
  }
}

class Connection {
  #app;
  #redis;
  #up;
  #down;
  /** Whether the application receives messages on this connection. */
  subscribes = false;

  constructor(app, redis, link) {
    this.#app = app;
    this.#redis = redis;
    this.#up = new Flow(app, redis, link);
    this.#down = new Flow(redis, app, link);
    const find = (chunk) => {
      this.subscribes ||= SUBSCRIBE.test(chunk.toString('latin1'));
      if (this.subscribes) app.off('data', find);
    };
    app.on('data', find);
  }

  freeze({ up, down }) {
    this.#up.silent ||= up;
    this.#down.silent ||= down;
  }

  destroy() {
    // A reset, as from a peer that crashed; a frozen connection stays silent
    // until the link itself is closed.
    this.#app.resetAndDestroy();
    this.#redis.resetAndDestroy();
  }
}

/** One direction of a connection: bytes in order, after the link's latency. */
class Flow {
  silent = false;
  #from;
  #to;
  #link;
  #queue = [];
  #queuedBytes = 0;
  #lastDue = 0;

  constructor(from, to, link) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    from.on('data', (chunk) => this.#pass(chunk));
    from.on('end', () => this.#pass(null));
    from.on('error', () => {
      if (!this.silent) to.resetAndDestroy();
    });
    to.on('drain', () => this.#resume());
  }

  /** @param chunk `null` for the end */
  #pass(chunk) {
    if (this.silent) return;
    const latency = this.#link.latency();
    if (latency === 0 && this.#queue.length === 0) return this.#write(chunk);
    const now = performance.now();
    // Never earlier than the previous chunk: a byte stream keeps its order.
    this.#lastDue = Math.max(this.#lastDue, now + latency);
    this.#queue.push({ chunk, due: this.#lastDue });
    this.#queuedBytes += chunk?.length ?? 0;
    if (this.#queuedBytes > IN_FLIGHT_BYTES) this.#from.pause();
    if (this.#queue.length === 1) this.#wait();
  }

  #wait() {
    const delay = Math.max(0, this.#queue[0].due - performance.now());
    setTimeout(() => this.#arrive(), delay).unref();
  }

  #arrive() {
    const now = performance.now();
    while (this.#queue.length > 0 && this.#queue[0].due <= now) {
      const { chunk } = this.#queue.shift();
      this.#queuedBytes -= chunk?.length ?? 0;
      if (!this.silent) this.#write(chunk);
    }
    if (this.#queue.length > 0) this.#wait();
    if (this.#queuedBytes <= IN_FLIGHT_BYTES) this.#resume();
  }

  #write(chunk) {
    if (this.#to.destroyed) return;
    if (chunk === null) {
      this.#to.end();
    } else if (!this.#to.write(chunk)) {
      // Data that the receiver does not take waits at its sender, not here.
      this.#from.pause();
    }
  }

  #resume() {
    if (this.#queuedBytes <= IN_FLIGHT_BYTES && !this.#to.writableNeedDrain) {
      this.#from.resume();
    }
  }
}
