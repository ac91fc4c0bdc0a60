import {
  HOST,
  urlVariableOf,
  type ServiceName,
} from '../../shared/services.js';
import { DemoProcess } from '../demo.process.js';
import { freePorts } from '../free-port.js';
import { LongLink } from './long.link.js';

export const REGIONS = ['eu', 'us'] as const;
export type Region = (typeof REGIONS)[number];

/** Milliseconds from one region to the other and back. */
export const ROUND_TRIP_MS = 80;

/** Short, so that the demo is: the default is five seconds. */
const HEARTBEAT_MS = 1_000;

/** The services of each region: an owner of rows, and a gateway that reads all rows. */
const SERVICES: Readonly<Record<Region, readonly ServiceName[]>> = {
  eu: ['content-service', 'gateway'],
  us: ['user-service', 'gateway'],
};

/** Both together must be less than the three seconds that a Ctrl-C may take. */
const SERVICE_PATIENCE_MS = 1_800;
const VALKEY_PATIENCE_MS = 500;

interface Instance {
  readonly region: Region;
  readonly service: ServiceName;
  readonly port: number;
}

/** Two regions, each with a Valkey and two services, and a long link between them. */
export class RegionsNetwork {
  readonly #urls = new Map<string, string>();
  #valkeys: DemoProcess[] = [];
  #services: DemoProcess[] = [];
  #links: LongLink[] = [];
  #stopped = false;

  constructor(private readonly onLine: (name: string, line: string) => void) {}

  /** Rejects once a process has ended unexpectedly; never resolves. */
  get failure(): Promise<never> {
    const all = [...this.#valkeys, ...this.#services];
    return Promise.race(all.map(({ failure }) => failure));
  }

  /** All instances, as `eu/gateway`. */
  get instances(): string[] {
    return [...this.#urls.keys()];
  }

  /** @throws Error if the instance does not serve yet */
  urlOf(region: Region, service: ServiceName): string {
    const url = this.#urls.get(`${region}/${service}`);
    if (url === undefined) throw new Error(`${service} does not serve.`);
    return url;
  }

  /** Starts all processes together, and resolves when every one serves. */
  async start(): Promise<void> {
    const wanted = REGIONS.flatMap((region) =>
      SERVICES[region].map((service) => ({ region, service })),
    );
    const ports = await freePorts([...REGIONS, ...wanted].map(() => 0));
    const valkeyPorts = ports.splice(0, REGIONS.length);
    this.#links = valkeyPorts.map(
      (port) => new LongLink(port, ROUND_TRIP_MS / 2),
    );
    await Promise.all(this.#links.map((link) => link.open()));
    if (this.#stopped) return this.#closeLinks();
    this.#valkeys = valkeyPorts.map((port, index) =>
      this.#startValkey(REGIONS[index]!, port),
    );
    const instances = wanted.map((each, index) => ({
      ...each,
      port: ports[index]!,
    }));
    this.#services = instances.map((instance) =>
      this.#startService(instance, valkeyPorts, instances),
    );
    await Promise.race([this.#allServing(), this.failure]);
  }

  /** Cuts every way between the regions. */
  cut(): void {
    for (const link of this.#links) link.cut();
  }

  heal(): void {
    for (const link of this.#links) link.heal();
  }

  /** Stops the services first: they may still have messages to publish. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(
      this.#services.map((service) => service.stop(SERVICE_PATIENCE_MS)),
    );
    await Promise.all(
      this.#valkeys.map((valkey) => valkey.stop(VALKEY_PATIENCE_MS)),
    );
    await this.#closeLinks();
  }

  async #closeLinks(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }

  #startValkey(region: Region, port: number): DemoProcess {
    const name = `${region}/valkey`;
    return new DemoProcess({
      name,
      module: './embedded-valkey.process.js',
      arguments: [String(port)],
      env: {},
      onLine: (line) => this.onLine(name, line),
    });
  }

  #startService(
    { region, service, port }: Instance,
    valkeyPorts: readonly number[],
    instances: readonly Instance[],
  ): DemoProcess {
    const name = `${region}/${service}`;
    const here = REGIONS.indexOf(region);
    const sources = REGIONS.map(
      (source, index) => `${source}=${this.#links[index]!.url}`,
    ).filter((_, index) => index !== here);
    return new DemoProcess({
      name,
      module: `../${service}/main.js`,
      env: {
        ...ownersOf(instances),
        // Rows are in memory, and one process has them: their replication is not shown.
        DATABASE_URL: '',
        REDIS_URL: `redis://${HOST}:${valkeyPorts[here]}`,
        PORT: String(port),
        // The story counts messages, and plain SQL would add some.
        SAMPLE_APP_SOURCE: 'off',
        SAMPLE_APP_REGION: region,
        SAMPLE_APP_SOURCES: sources.join(' '),
        CACHE_INVALIDATION_SERVICE_NAME: service,
        CACHE_INVALIDATION_HEARTBEAT_INTERVAL: String(HEARTBEAT_MS),
        CACHE_INVALIDATION_HEARTBEAT_TIMEOUT: String(HEARTBEAT_MS),
      },
      onLine: (line) => this.onLine(name, line),
    });
  }

  async #allServing(): Promise<void> {
    for (const { name, serving } of this.#services) {
      this.#urls.set(name, await serving);
    }
    await Promise.all(this.#valkeys.map(({ serving }) => serving));
  }
}

/** The addresses of the owners, which both gateways read. */
function ownersOf(instances: readonly Instance[]): Record<string, string> {
  const owners = instances.filter(({ service }) => service !== 'gateway');
  return Object.fromEntries(
    owners.map(({ service, port }) => [
      urlVariableOf(service),
      `http://${HOST}:${port}`,
    ]),
  );
}
