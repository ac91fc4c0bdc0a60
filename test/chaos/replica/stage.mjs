import { ENTITY_TYPES } from '../database.mjs';
import { Link } from '../link.mjs';
import { PostgresServer } from '../postgres/server.mjs';
import { PostgresStage } from '../postgres/stage.mjs';
import { OldChecker } from './old-checker.mjs';
import { ReplicaRows } from './rows.mjs';

/** Name of an instance that has no room for all rows, so that it loads all the time. */
export const SMALL = 'small';
const SMALL_MAX = 100;
/** Limit for a hundred writes, on a busy machine: each of them waits for several answers. */
const WRITTEN_WITHIN_MS = 45_000;
/** All loads go to one server. */
const ROWS_PER_TYPE = 300;
/** Types that the source maps, and psql writes. */
export const MAPPED = ENTITY_TYPES.slice(0, 2);
/** Types that decorated methods write, and nobody else. */
const DECORATED = ENTITY_TYPES.slice(2);
/** Each server keeps the log of the whole run, which a new standby replays. */
export const KEEPING_LOG = { wal_keep_size: '512MB' };

/**
 * Rows in PostgreSQL, which psql and decorated methods write, and instances whose loaders
 * read a standby.
 */
export class ReplicaStage extends PostgresStage {
  /** The address at which instances read. */
  reads = null;

  constructor(how) {
    super({ ...how, rowsPerType: ROWS_PER_TYPE });
    this.database = new ReplicaRows(this.database.keys, this.random);
    this.checker = new OldChecker(this.database);
  }

  get writers() {
    return [...super.writers, ...this.running.filter(({ writes }) => writes)];
  }

  get large() {
    return this.running.filter(({ name }) => name !== SMALL);
  }

  writes(count) {
    return super.writes(count, WRITTEN_WITHIN_MS);
  }

  async open(scenario) {
    this.database.types = scenario.postgres.types;
    this.database.play = (play) => this.psql.play(play);
    await super.open(scenario);
  }

  /**
   * @param instance `loadsPrimary`: it has a loader of the primary, too; `alone`: it has no
   * second tier; outside of the database's region it has no source
   */
  async place(instance) {
    const { links, settings } = await super.place(instance);
    const { source, loads } = settings;
    return {
      links,
      settings: {
        source: instance.region === 'us' ? undefined : source,
        types: DECORATED,
        ...(instance.alone && { shared: false }),
        ...(instance.name === SMALL && { max: SMALL_MAX }),
        loads: {
          ...loads,
          port: this.reads.port,
          replica: { primary: loads, loadsPrimary: instance.loadsPrimary },
        },
      },
    };
  }

  async startStandby() {
    await super.startStandby(this.#settings(this.postgres.lag));
    this.reads = await Link.open(this.standby.port);
    this.onClose(() => this.reads.close());
  }

  /** Starts one more standby. @param server that it follows */
  async follow(server = this.server, lag = this.postgres.lag) {
    const standby = await PostgresServer.startStandby(
      server.address,
      this.#settings(lag),
    );
    this.onClose(() => standby.stop());
    return standby;
  }

  /** Leads loads to other servers, in turn. */
  readFrom(...servers) {
    this.reads.retarget(...servers.map(({ port }) => port));
    this.reads.drop();
  }

  #settings(lag) {
    return { ...KEEPING_LOG, recovery_min_apply_delay: lag };
  }
}
