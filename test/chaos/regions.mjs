import { widenings } from './region-checks.mjs';
import { Link } from './link.mjs';
import { HOST, RedisServer } from './redis.mjs';
import { Tap } from './tap.mjs';
import { until } from './wait.mjs';

/** Half a round trip between two regions. */
const HALF_WAY_MS = 40;
const JITTER_MS = 10;
/** Time that two hops take to be proven, beside a heartbeat in each. */
const PROVEN_WITHIN_MS = 2_000;
/** Limit for all instances to hear their sources, on a busy machine. */
const HEARD_WITHIN_MS = 40_000;
/** Redis keeps the age of a proof in whole milliseconds. */
const ROUNDING_MS = 20;

function overland() {
  return HALF_WAY_MS + (Math.random() - 0.5) * JITTER_MS;
}

/**
 * Regions, each with a Redis of its own and a tap on its channel. Each pair has a link
 * in each direction, which all applications of a region share: a relay reads its source
 * through it.
 *
 * @param names of the regions
 * @param transit sources whose relays carry what was born elsewhere, too
 * @param late instances that start at the end of the run
 */
export async function regionsBroker(
  { channel, journal },
  names,
  { args = [], transit = [], late },
) {
  const regions = {};
  const links = new Map();
  for (const name of names) {
    const redis = await RedisServer.start({ args });
    const tap = await Tap.on({ redis, channel, journal });
    regions[name] = { redis, tap, channel, journal };
  }
  for (const source of names) {
    for (const local of names) {
      if (source === local) continue;
      const { port } = regions[source].redis;
      links.set(`${source}>${local}`, await Link.open(port, overland));
    }
  }
  return new Regions(names, { regions, links, transit, late });
}

class Regions {
  names;
  /** By their names: `redis`, `tap`, and what `journalAhead()` needs. */
  regions;
  late;
  /** Sources whose relays carry what was born elsewhere, too. */
  transit;
  /** Observations during a fault that contradict what the library says. */
  complaints = [];
  /** How often each way was widened before the fault, by `source>local`. */
  widenedBefore = new Map();
  /** IDs of messages that a fault itself has repeated. */
  repeated = new Set();
  #links;

  constructor(names, { regions, links, transit, late }) {
    this.names = names;
    this.regions = regions;
    this.late = late;
    this.#links = links;
    this.transit = transit;
  }

  /** Redis of the first region. */
  get redis() {
    return this.regions[this.names[0]].redis;
  }

  /** The way on which a region hears another one. */
  way(source, local) {
    return this.#links.get(`${source}>${local}`);
  }

  /** The ways between two regions, both directions. */
  between(one, other) {
    return [this.way(one, other), this.way(other, one)];
  }

  /**
   * @param region of the instance
   * @param sources regions that it hears
   * @param relays `false`: another process of its region relays them
   */
  async link({ region, sources, relays = true }) {
    const heard = sources ?? this.names.filter((name) => name !== region);
    const link = await Link.open(this.regions[region].redis.port);
    return {
      links: [link],
      connection: `redis://${HOST}:${link.port}`,
      region,
      sources: heard,
      options: {
        regions: {
          local: region,
          sources: Object.fromEntries(
            heard.map((source) => [
              source,
              relays ? this.#source(source, region) : {},
            ]),
          ),
        },
      },
    };
  }

  /**
   * Waits for the first relays. A source whose journal is empty is widened once more
   * after each new connection, so that the checks count from here on.
   */
  async ready(stage) {
    await this.heard(stage);
    this.widenedBefore = await widenings(this);
  }

  /** Waits until every instance hears all of its sources. */
  async heard(stage) {
    let late = [];
    const isHeard = async () => {
      late = await this.unheard(stage);
      return late.length === 0;
    };
    await until('', isHeard, HEARD_WITHIN_MS).catch(() => {
      throw new Error(`not relayed: ${late.join('; ')}`);
    });
  }

  /** Place up to which a region was told everything of a source. */
  record(source, local) {
    const { redis, channel } = this.regions[local];
    return redis.admin.hget(`{${channel}}:relay:${source}`, 'offset');
  }

  /** @returns whether the source still has all that it has not told */
  async covers(source, local) {
    const offset = await this.record(source, local);
    const { redis, journal } = this.regions[source];
    const found = await redis.admin.xrange(journal, offset, offset);
    return found.length > 0;
  }

  /** @returns descriptions of sources that some instance does not hear */
  async unheard({ running, options }) {
    const usual = 2 * options.heartbeatInterval + PROVEN_WITHIN_MS;
    const all = await Promise.all(
      running.map(async (application) => {
        const ages = await application.staleness();
        return Object.entries(ages)
          .filter(([, age]) => age > usual)
          .map(
            ([source, age]) =>
              `${application.name}: ${source} was last proven ${age} ms ago`,
          );
      }),
    );
    return all.flat();
  }

  /**
   * Complains about instances that claim to know a source which cannot be reached.
   *
   * @param since moment of the cut
   */
  async expectStale(stage, source, local, since) {
    for (const application of stage.running) {
      if (application.region !== local) continue;
      const cutFor = performance.now() - since;
      const age = (await application.staleness())[source];
      if (age === undefined || age >= cutFor - ROUNDING_MS) continue;
      this.complaints.push(
        `${application.name}: ${source} is cut off for ${Math.round(cutFor)} ms, but was proven ${Math.round(age)} ms ago`,
      );
    }
  }

  async stop() {
    for (const { tap, redis } of Object.values(this.regions)) {
      tap.close();
      await redis.stop();
    }
    for (const link of this.#links.values()) await link.close();
  }

  #source(source, local) {
    return {
      connection: `redis://${HOST}:${this.way(source, local).port}`,
      ...(this.transit.includes(source) ? { transit: true } : {}),
    };
  }
}
