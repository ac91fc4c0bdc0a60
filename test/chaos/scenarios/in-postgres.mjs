import { singleBroker } from '../brokers.mjs';
import { PostgresStage } from '../postgres/stage.mjs';
import { until } from '../wait.mjs';

/**
 * Milliseconds for which commits are in the log and not visible, in most scenarios: longer
 * than a message takes on a busy machine, else one that leaves too early would do no harm.
 */
export const LATE_MS = 300;

/** Properties of a server that forgets the commits of the last second when it crashes. */
export const ASYNCHRONOUS = {
  setups: ['set synchronous_commit = off'],
  settings: { wal_writer_delay: '1s' },
  widens: true,
  takesBack: true,
};

const INSTANCES = [{ name: 'one' }, { name: 'two' }, { name: 'three' }];

/**
 * A scenario whose rows are in PostgreSQL. The properties of `postgres`:
 *
 * - `mode`: `triggers`, or the log
 * - `settings` of the server, `source`: options of the source
 * - `chooses`, `perSecond`, `setups`: see `Psql`
 * - `count`: transactions before, during and after the fault
 * - `has(row)`: whether a row is there at first, by default every second one
 * - `late`: milliseconds for which commits are in the log and not visible
 * - `standby(stage)`: starts one
 * - `prepare(stage)`: called before the instances start
 * - `isExact`: no message may be for a whole type
 * - `isAlone`: nor may an instance evict everything by itself
 * - `widens`: there must be one
 * - `takesBack`: commits that were visible must be gone after the fault
 */
export function inPostgres({
  postgres = {},
  redis,
  instances = INSTANCES,
  ...scenario
}) {
  return {
    stage: PostgresStage,
    postgres,
    instances,
    broker: (stage) => postgresBroker(stage, redis),
    ...scenario,
    settled: unsettled,
    async verify(stage) {
      const { psql, broken } = stage;
      return [
        ...new Set(psql.problems),
        ...(postgres.takesBack && stage.takenBack === 0
          ? ['no commit was taken back']
          : []),
        ...(postgres.isExact ? await stage.widened() : []),
        ...(postgres.isAlone ? await stage.evictions() : []),
        ...(postgres.widens && !broken ? await stage.notWidened() : []),
        ...((await scenario.verify?.(stage)) ?? []),
      ];
    },
  };
}

async function postgresBroker(stage, options) {
  const single = await singleBroker(options);
  return {
    redis: single.redis,
    ready: () => stage.ready(),
    stop: () => single.stop(),
    async link() {
      const { links, connection } = await single.link();
      const { link, settings } = await stage.place();
      return { links: [...links, link], connection, settings };
    },
  };
}

/** One source must announce, the others stand by, and nothing may be left to say. */
async function unsettled(stage) {
  const { mode } = stage.postgres;
  let states = [];
  const isSettled = async () => {
    states = await stage.sources();
    const holders = states.filter(({ state }) => state === 'holder');
    const isRight =
      mode === 'triggers'
        ? holders.length === states.length
        : holders.length === 1 &&
          states.every(({ state }) => /^(holder|standby)$/.test(state));
    return isRight && states.every(({ fault }) => fault === null);
  };
  try {
    await until('the sources', isSettled, stage.broken ? 1_000 : 10_000);
    return [];
  } catch {
    return [`the sources are not at rest: ${JSON.stringify(states)}`];
  }
}
