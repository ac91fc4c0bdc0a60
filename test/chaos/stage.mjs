import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Application } from './application.mjs';
import { randomFrom } from './application/random.mjs';
import { singleBroker } from './brokers.mjs';
import { Checker } from './checker.mjs';
import { Database, ENTITY_TYPES, rowKeys } from './database.mjs';
import { Rights } from './rights.mjs';
import { until } from './wait.mjs';

const ROWS_PER_TYPE = 1_000;
const READS_PER_SECOND = 8_000;
const WRITES_PER_SECOND = 800;

/** A short heartbeat, so that faults that only a heartbeat can find are found soon. */
const HEARTBEAT = { heartbeatInterval: 500, heartbeatTimeout: 400 };

const SERVICE = 'chaos';

/** Two instances that write and two that only read; all of them cache. */
export const INSTANCES = [
  { name: 'writer-1', writes: true },
  { name: 'writer-2', writes: true },
  { name: 'reader-1' },
  { name: 'reader-2' },
];

/** Everything that one run of one scenario needs, and that its faults act on. */
export class Stage {
  channel = `chaos:${randomUUID()}`;
  journal = `{${this.channel}}:journal`;
  rowsPerType;
  database;
  checker;
  /** Of one region, and without PostgreSQL; or `null`. */
  rights = new Rights();
  /** Seed of all random choices. */
  seed;
  random;
  /** Whether faults last longer than every timeout. */
  long;
  /** Protection of the library that is switched off, see break.mjs; `null` for none. */
  broken;
  /** Whether the instances share a second tier, which requires the journal. */
  shared;
  /** Options of the module in every instance. */
  options;
  broker;
  applications = [];
  /** Numbers of changes before the fault, and after it has healed. */
  writesBefore = 500;
  writesAfter = 800;
  #cleanups = [];

  constructor({
    seed,
    long,
    broken,
    options = {},
    rowsPerType = ROWS_PER_TYPE,
  }) {
    this.rowsPerType = rowsPerType;
    this.database = new Database(rowKeys(rowsPerType));
    this.checker = new Checker(this.database);
    this.seed = seed;
    this.random = randomFrom(seed);
    this.long = long;
    this.broken = broken;
    this.shared = broken !== 'law';
    this.options = {
      ...HEARTBEAT,
      ...options,
      ...(broken === 'law' ? { journal: false } : {}),
    };
  }

  async open({ broker = () => singleBroker(), instances = INSTANCES }) {
    this.broker = await broker(this);
    this.onClose(() => this.broker.stop());
    this.applications = await Promise.all(
      instances.map((instance) => this.#launch(instance)),
    );
    await this.broker.ready?.(this);
  }

  /** Closes everything, however the run ended. */
  async close() {
    await Promise.all([this.checker.stop(), this.rights?.stop()]);
    for (const cleanup of this.#cleanups.toReversed()) await cleanup();
  }

  onClose(cleanup) {
    this.#cleanups.push(cleanup);
  }

  /** @returns the new instance */
  async launch(instance) {
    const application = await this.#launch(instance);
    this.applications.push(application);
    return application;
  }

  get redis() {
    return this.broker.redis;
  }

  get running() {
    return this.applications.filter(({ running }) => running);
  }

  get writers() {
    return this.running.filter(({ writes }) => writes);
  }

  get readers() {
    return this.running.filter(({ writes }) => !writes);
  }

  async startWriting() {
    await Promise.all(this.writers.map((writer) => writer.startWriting()));
  }

  async stopWriting() {
    await Promise.all(this.writers.map((writer) => writer.stopWriting()));
  }

  /** Called once nothing changes rows any more. */
  async hasRested() {}

  /** Waits for that many further invalidations. @param limit milliseconds */
  async writes(count, limit) {
    const enough = this.database.writes + count;
    const areEnough = () => this.database.writes >= enough;
    await until(`${count} writes`, areEnough, limit);
  }

  /** Lets a fault last: it needs time to take effect, and to outlast a timeout. */
  last(short, long = short) {
    return sleep(this.long ? long : short);
  }

  /** Instances that can cache all rows. */
  get large() {
    return this.running;
  }

  /** Waits until each instance that can caches nearly all rows. */
  async warm() {
    const most = this.database.keys.length * 0.95;
    await until('warm caches', async () => {
      const checks = await Promise.all(
        this.large.map((application) => this.checker.check(application)),
      );
      return checks.every(({ cached }) => cached >= most);
    });
  }

  async #launch(instance) {
    const { name, writes = false, options = {}, clockShift = 0 } = instance;
    const { links, connection, ...place } = await this.broker.link(instance);
    this.onClose(() => Promise.all(links.map((link) => link.close())));
    // Regions have bounds of their own.
    const rights = place.region === undefined ? this.rights : null;
    const application = await Application.launch({
      name,
      links,
      writes,
      clockShift,
      database: this.database,
      rights,
      region: place.region,
      sources: place.sources,
      settings: {
        options: {
          connection,
          channel: this.channel,
          // Instances of one service, which share its entries in Redis.
          serviceName: SERVICE,
          ...this.options,
          ...place.options,
          ...options,
        },
        broken: this.broken,
        shared: this.shared,
        rowsPerType: this.rowsPerType,
        types: ENTITY_TYPES,
        readsPerSecond: instance.readsPerSecond ?? READS_PER_SECOND,
        writesPerSecond: instance.writesPerSecond ?? WRITES_PER_SECOND,
        rights: rights !== null,
        seed: Math.floor(this.random() * 2 ** 32),
        ...place.settings,
      },
    });
    this.onClose(() => application.kill());
    this.checker.watch(application);
    rights?.watch(application);
    return application;
  }
}
