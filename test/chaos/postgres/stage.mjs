import { Checker } from '../checker.mjs';
import { ENTITY_TYPES } from '../database.mjs';
import { Link } from '../link.mjs';
import { Stage } from '../stage.mjs';
import { Tap } from '../tap.mjs';
import { until } from '../wait.mjs';
import { triggerSql } from 'nestjs-cache-invalidation/postgres';
import { LateStandby, WAITS_FOR_LATE } from './late-standby.mjs';
import { MIX } from './plays.mjs';
import { Psql } from './psql.mjs';
import { PostgresRows } from './rows.mjs';
import { PostgresServer } from './server.mjs';
import { mappings } from './tables.mjs';

export const SLOT = 'chaos';
/** Times of the source: short, as the heartbeats of the instances. */
const SOURCE = {
  slot: SLOT,
  publication: SLOT,
  heartbeat: 300,
  timeout: 1_500,
  poll: 50,
};
const PER_SECOND = 400;
/** Problems that are shown of one kind. */
const SHOWN = 3;
/** Time for which PostgreSQL is away. */
const AWAY_MS = 300;
const AWAY_LONG_MS = 5_000;
/** Time to take the slot, on a busy machine. */
const HELD_WITHIN_MS = 20_000;

/** Rows in PostgreSQL, which psql alone writes, and instances that hear of it. */
export class PostgresStage extends Stage {
  server = null;
  rights = null;
  /** A standby, and its link to the server. */
  standby = null;
  replication = null;
  psql;
  /** Hears what is published. */
  tap;
  /** The address of the primary, for all but the sources. */
  address;
  writesBefore = 200;
  writesAfter = 300;
  /** Rows whose last commits were lost with a server. */
  takenBack = 0;
  /** Messages for whole types before anything was written. */
  #patternsBefore = 0;
  /** Properties of the scenario, see `inPostgres()`. */
  postgres;
  #links = [];

  constructor(how) {
    super(how);
    this.database = new PostgresRows(this.database.keys, this.random);
    this.checker = new Checker(this.database);
  }

  get writers() {
    return this.psql === undefined ? [] : [this.psql];
  }

  /** All instances read only. */
  get readers() {
    return this.running;
  }

  /** @param postgres see `inPostgres()` */
  async open(scenario) {
    const { postgres: scene } = scenario;
    this.postgres = scene;
    if (scene.count !== undefined) {
      this.writesBefore = scene.count;
      this.writesAfter = scene.count;
    }
    await this.#openServer(scene);
    const { port } = this.server;
    this.address = await Link.open(port);
    this.onClose(() => this.address.close());
    await this.database.insert(this.server, scene.has ?? isEven);
    if (scene.mode === 'triggers')
      await this.server.sql(triggerSql(mappings()));
    await scene.prepare?.(this);
    this.psql = new Psql({
      address: { ...this.server.address, port: this.address.port },
      rows: this.database,
      random: this.random,
      chooses: scene.chooses ?? MIX,
      perSecond: scene.perSecond ?? PER_SECOND,
      sessions: scene.sessions,
      // Some commits are visible at once, and have ids above those that are not.
      setups: scene.late
        ? ['', 'set synchronous_commit = local']
        : scene.setups,
    });
    await super.open(scenario);
  }

  async hasRested() {
    await this.database.rest(this.server);
  }

  /** Links of an instance and settings for it, beside those of its broker. */
  async place() {
    const link = await Link.open(this.server.port);
    this.#links.push(link);
    const { host, user } = this.server.address;
    const source = { host, user, database: 'postgres', port: link.port };
    return {
      links: [link],
      settings: {
        source: {
          ...SOURCE,
          ...(this.postgres.mode === 'triggers'
            ? { mode: 'triggers', slot: undefined, publication: undefined }
            : {}),
          ...this.postgres.source,
          types: this.postgres.types,
          connection: source,
        },
        loads: { ...source, port: this.address.port },
      },
    };
  }

  /** Waits until a source announces, and its first widening is out. */
  async ready() {
    this.tap = await Tap.on(this);
    this.onClose(() => this.tap.close());
    await this.held();
    const { types = ENTITY_TYPES } = this.postgres;
    await until('the first widening', async () => {
      this.#patternsBefore = (await this.patterns()).length;
      return this.#patternsBefore >= types.length;
    });
  }

  /** Waits until there is a holder. @returns it */
  held() {
    return until(
      'a source that announces',
      () => this.holder(),
      HELD_WITHIN_MS,
    ).catch(async (error) => {
      const states = JSON.stringify(await this.sources());
      throw new Error(`${error.message}: ${states}`);
    });
  }

  /** The status of each running source. */
  async sources() {
    const reports = await Promise.all(
      this.running.map((application) => application.report()),
    );
    return reports.flatMap(({ source }) => source ?? []);
  }

  /** The instance that announces; one of them in trigger mode. */
  async holder() {
    for (const application of this.running) {
      const report = await application.report();
      if (report?.source?.state === 'holder') return application;
    }
    return null;
  }

  /** Links between sources and PostgreSQL. */
  get sourceLinks() {
    return this.#links;
  }

  /** Waits until all caches have the last commits; nothing may change rows meanwhile. */
  async haveLast() {
    await until('caches with the last commits', async () => {
      const { checker, running } = this;
      const checks = await Promise.all(
        running.map((each) => checker.check(each)),
      );
      return checks.every(({ stale }) => stale.length === 0);
    });
    await this.warm();
  }

  /** SIGKILL to PostgreSQL, and a new start. */
  async killServer() {
    await this.server.kill();
    await this.last(AWAY_MS, AWAY_LONG_MS);
    await this.server.start();
    this.takenBack += await this.database.refreshAll(this.server);
  }

  /** Leads all to another server. */
  async moveTo(server) {
    this.server = server;
    this.takenBack += await this.database.refreshAll(server);
    for (const link of [this.address, ...this.#links]) {
      link.retarget(server.port);
      link.drop();
    }
  }

  /** Messages that are no exact keys. */
  async patterns() {
    const lives = await this.tap.lives();
    return lives.flat().filter(({ pattern }) => pattern !== null);
  }

  /** @returns problems, if a message was not exact */
  async widened() {
    const patterns = (await this.patterns()).slice(this.#patternsBefore);
    const problems = patterns.map(({ pattern }) => `not exact: ${pattern}`);
    return problems.slice(0, SHOWN);
  }

  /** @returns problems, if an instance evicted everything by itself */
  async evictions() {
    const problems = [];
    for (const application of this.applications) {
      const report = await application.report();
      // Redis did not answer it in time.
      if (report === null || report.errors.CACHE_INVALIDATION_TIMEOUT > 0) {
        continue;
      }
      const causes = Object.keys(report.widenedBy).join(', ');
      if (causes !== '')
        problems.push(`${application.name}: evicted everything (${causes})`);
    }
    return problems;
  }

  /** A problem, if whole types were not invalidated though they had to be. */
  async notWidened() {
    const patterns = (await this.patterns()).slice(this.#patternsBefore);
    return patterns.length === 0 ? ['no type was invalidated whole'] : [];
  }

  /** Starts a standby that follows the server by a link. @param settings win over ours */
  async startStandby(settings) {
    const { server } = this;
    this.replication = await Link.open(server.port);
    this.onClose(() => this.replication.close());
    await server.sql("select pg_create_physical_replication_slot('standby')");
    this.standby = await PostgresServer.startStandby(
      { ...server.address, port: this.replication.port },
      {
        primary_slot_name: 'standby',
        hot_standby_feedback: 'on',
        wal_receiver_status_interval: 1,
        ...settings,
      },
    );
    this.onClose(() => this.standby.stop());
  }

  async #openServer({ settings, late = 0, standby }) {
    const synchronous = late > 0 ? WAITS_FOR_LATE : {};
    this.server = await PostgresServer.start({ ...settings, ...synchronous });
    this.onClose(() => this.server.stop());
    await standby?.(this);
    if (late === 0) return;
    const follower = await LateStandby.follow(this.server.address, late);
    this.onClose(() => follower.close());
  }
}

/** Half of the rows are there at first. */
function isEven({ id }) {
  return id % 2 === 0;
}
