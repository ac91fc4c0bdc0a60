import { randomUUID } from 'node:crypto';
import {
  HOST,
  INSTANCE_PORTS,
  urlVariableOf,
  type InstanceName,
  type ServiceName,
} from '../shared/services.js';
import { DemoProcess } from './demo.process.js';
import { freePorts } from './free-port.js';
import { SlowRoad } from './slow.road.js';

/** A channel of its own, for a Redis that others use too. */
const CHANNEL = 'sample-app:cache:invalidate';

/**
 * A prefix of its own for each run: rows that are kept in memory begin anew, and
 * in a Redis that lives on there are copies of those of the last run.
 */
const L2_PREFIX = `sample-app:${randomUUID()}:`;

/** Two instances of the gateway share one L2, and each has an L1 of its own. */
export const INSTANCES = [
  { name: 'user-service', service: 'user-service' },
  { name: 'content-service', service: 'content-service' },
  { name: 'social-service', service: 'social-service' },
  { name: 'communication-service', service: 'communication-service' },
  { name: 'gateway', service: 'gateway' },
  { name: 'gateway-2', service: 'gateway' },
] as const satisfies { name: InstanceName; service: ServiceName }[];

/** Whose answers can be held up on their way to the first gateway. */
const SLOWED = 'content-service';

/** Together they must stay below the three seconds that a Ctrl-C may take. */
const SERVICE_PATIENCE_MS = 1_800;
const VALKEY_PATIENCE_MS = 500;

export interface NetworkOptions {
  /** Ports that nobody has to remember. */
  readonly anyPorts: boolean;
  readonly onLine: (name: string, line: string) => void;
}

/** All processes of the demo. */
export class Network {
  /** From content-service to the first gateway. */
  readonly slowRoad = new SlowRoad();
  #valkey: DemoProcess | null = null;
  #services: DemoProcess[] = [];
  #urls: Partial<Record<InstanceName, string>> = {};
  #stopped = false;

  constructor(private readonly options: NetworkOptions) {}

  /** Rejects once one process has ended that should not; never resolves. */
  get failure(): Promise<never> {
    return Promise.race(this.#processes.map(({ failure }) => failure));
  }

  /** @throws Error if it is not there */
  urlOf(instance: InstanceName): string {
    const url = this.#urls[instance];
    if (url === undefined) throw new Error(`${instance} does not serve.`);
    return url;
  }

  /** Starts all at once, and resolves when every one serves. */
  async start(): Promise<void> {
    const { anyPorts } = this.options;
    const [valkeyPort = 0, ...ports] = await freePorts([
      0,
      ...INSTANCES.map(({ name }) => (anyPorts ? 0 : INSTANCE_PORTS[name])),
    ]);
    await this.slowRoad.open();
    if (this.#stopped) return this.slowRoad.close();
    const redisUrl = process.env['REDIS_URL'] || this.#startValkey(valkeyPort);
    this.#startServices(redisUrl, ports);
    await Promise.race([this.#allServing(), this.failure]);
  }

  /** Services first: they may have something left to tell. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(
      this.#services.map((service) => service.stop(SERVICE_PATIENCE_MS)),
    );
    await this.#valkey?.stop(VALKEY_PATIENCE_MS);
    await this.slowRoad.close();
  }

  get #processes(): DemoProcess[] {
    return [...(this.#valkey ? [this.#valkey] : []), ...this.#services];
  }

  #startValkey(port: number): string {
    this.#valkey = new DemoProcess({
      name: 'valkey',
      module: './embedded-valkey.process.js',
      arguments: [String(port)],
      env: {},
      onLine: (line) => this.options.onLine('valkey', line),
    });
    return `redis://${HOST}:${port}`;
  }

  #startServices(redisUrl: string, ports: readonly number[]): void {
    const urls = Object.fromEntries(
      INSTANCES.map(({ name }, index) => [
        urlVariableOf(name),
        `http://${HOST}:${ports[index]}`,
      ]),
    );
    const roads = { [urlVariableOf(SLOWED)]: this.slowRoad.url };
    this.#services = INSTANCES.map(({ name, service }, index) => {
      const env = {
        ...urls,
        ...(name === 'gateway' ? roads : {}),
        REDIS_URL: redisUrl,
        PORT: String(ports[index]),
        CACHE_INVALIDATION_CHANNEL: CHANNEL,
        GATEWAY_L2_PREFIX: L2_PREFIX,
        CACHE_INVALIDATION_SERVICE_NAME: service,
        SAMPLE_APP_CONTROLS: 'on',
      };
      const onLine = (line: string): void => this.options.onLine(name, line);
      return new DemoProcess({
        name,
        module: `../${service}/main.js`,
        env,
        onLine,
      });
    });
  }

  async #allServing(): Promise<void> {
    const urls = await Promise.all(
      this.#services.map(async ({ name, serving }) => [name, await serving]),
    );
    this.#urls = Object.fromEntries(urls) as Record<InstanceName, string>;
    this.slowRoad.leadTo(this.urlOf(SLOWED));
    await this.#valkey?.serving;
  }
}
