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

/** The demo's own channel, for a Redis that others use too. */
const CHANNEL = 'sample-app:cache:invalidate';

/**
 * A new prefix for each run: rows in memory begin again, while a Redis that lives on
 * has copies of the rows of the last run.
 */
const L2_PREFIX = `sample-app:${randomUUID()}:`;

/** All processes; the two instances of the gateway share one L2, and each has its own L1. */
export const INSTANCES = [
  { name: 'user-service', service: 'user-service' },
  { name: 'content-service', service: 'content-service' },
  { name: 'social-service', service: 'social-service' },
  { name: 'communication-service', service: 'communication-service' },
  { name: 'gateway', service: 'gateway' },
  { name: 'gateway-2', service: 'gateway' },
] as const satisfies { name: InstanceName; service: ServiceName }[];

/** The service whose answers to the first gateway can be held back. */
const SLOWED = 'content-service';

/** Both together must be less than the three seconds that a Ctrl-C may take. */
const SERVICE_PATIENCE_MS = 1_800;
const VALKEY_PATIENCE_MS = 500;

export interface NetworkOptions {
  /** Whether any free ports will do. */
  readonly anyPorts: boolean;
  readonly onLine: (name: string, line: string) => void;
}

/** All processes of the demo. */
export class Network {
  /** Between content-service and the first gateway. */
  readonly slowRoad = new SlowRoad();
  #valkey: DemoProcess | null = null;
  #services: DemoProcess[] = [];
  #urls: Partial<Record<InstanceName, string>> = {};
  #stopped = false;

  constructor(private readonly options: NetworkOptions) {}

  /** Rejects once a process has ended unexpectedly; never resolves. */
  get failure(): Promise<never> {
    return Promise.race(this.#processes.map(({ failure }) => failure));
  }

  /** @throws Error if the instance does not serve yet */
  urlOf(instance: InstanceName): string {
    const url = this.#urls[instance];
    if (url === undefined) throw new Error(`${instance} does not serve.`);
    return url;
  }

  /** Starts all processes together, and resolves when every one serves. */
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

  /** Stops the services first: they may still have messages to publish. */
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
