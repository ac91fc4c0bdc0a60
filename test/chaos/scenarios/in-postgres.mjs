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
 * - `chooses`, `perSecond`, `setups`, `sessions`: see `Psql`
 * - `count`: transactions before, during and after the fault
 * - `has(row)`: whether a row is there at first, by default every second one
 * - `late`: milliseconds for which commits are in the log and not visible
 * - `types` that the source maps, by default all
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
    broker: async (stage) => besidePostgres(stage, await singleBroker(redis)),
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

/** Lets a broker link instances to the PostgreSQL of the stage, too. */
export function besidePostgres(stage, broker) {
  const link = broker.link.bind(broker);
  const ready = broker.ready?.bind(broker);
  return Object.assign(broker, {
    async link(instance) {
      const linked = await link(instance);
      const { links, settings } = await stage.place(instance);
      return { ...linked, links: [...linked.links, ...links], settings };
    },
    async ready() {
      await ready?.(stage);
      await stage.ready();
    },
  });
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
