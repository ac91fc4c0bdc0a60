/** 15: regions, whose links and servers fail. */
import { journalAhead } from '../redis-clock.mjs';
import { KEEPING_DATA } from '../redis.mjs';
import { until } from '../wait.mjs';
import { BOTH_WAYS, cutOff, heal, inRegions, LOST } from './in-regions.mjs';

const HOUR = 3_600_000;
const FROM_US = [['us', 'eu']];
/** Entries that outlast a round trip, but not a cut. */
const SMALL_JOURNAL = 1_500;
/** Limit for both writers to fill such a journal. */
const TRIMMED_WITHIN_MS = 60_000;

export const regions = [
  inRegions({
    name: 'regions-cut',
    title: 'two regions: the link is cut for less than the journals cover',
    fault: (stage) => cutOff(stage, BOTH_WAYS),
    heal: (stage) => heal(stage, BOTH_WAYS),
  }),
  inRegions({
    name: 'regions-cut-for-long',
    title: 'two regions: the link is cut for more than the journals cover',
    options: { journal: { maxLength: SMALL_JOURNAL } },
    losses: { 'us>eu': 1, 'eu>us': 1 },
    async fault(stage) {
      await cutOff(stage, BOTH_WAYS);
      for (const [source, local] of BOTH_WAYS) {
        await until(
          'the journal to be trimmed',
          async () => !(await stage.broker.covers(source, local)),
          TRIMMED_WITHIN_MS,
        );
      }
    },
    heal: (stage) => heal(stage, BOTH_WAYS),
  }),
  inRegions({
    name: 'regions-half-open',
    title: 'two regions: the link is half-open, new connections work',
    async fault(stage) {
      for (const link of stage.broker.between('eu', 'us')) link.freeze();
      await stage.writes(LOST);
    },
    mayBeQuiet: false,
  }),
  inRegions({
    name: 'regions-black-hole',
    title: 'two regions: the link swallows everything, on new connections, too',
    fault: (stage) => cutOff(stage, BOTH_WAYS, (link) => link.blackHole()),
    heal: (stage) => heal(stage, BOTH_WAYS),
  }),
  inRegions({
    name: 'regions-restarted-empty',
    title: "two regions: one's Redis killed (SIGKILL) and restarted empty",
    losses: { 'us>eu': 1, 'eu>us': 1 },
    retries: true,
    evicts: ['us'],
    fault: (stage) => kill(stage, 'us'),
    async heal({ broker }) {
      const { redis, tap } = broker.regions.us;
      tap.newLife();
      redis.forget();
      await redis.start();
    },
  }),
  inRegions({
    name: 'regions-restarted-older',
    title:
      "two regions: one's Redis loses what the other one has not heard yet",
    losses: { 'us>eu': 1 },
    retries: true,
    evicts: ['us'],
    async fault(stage) {
      const { redis } = stage.broker.regions.us;
      await redis.admin.save();
      // The record of the other region moves to what is lost.
      await stage.writes(LOST / 2);
      await cutOff(stage, FROM_US);
      await kill(stage, 'us');
    },
    async heal(stage) {
      const { redis, tap } = stage.broker.regions.us;
      tap.newLife();
      await redis.start();
      heal(stage, FROM_US);
    },
  }),
  inRegions({
    name: 'regions-restarted-with-data',
    title: "two regions: one's Redis killed (SIGKILL), restarted with its data",
    servers: { args: KEEPING_DATA },
    retries: true,
    evicts: ['eu'],
    fault: (stage) => kill(stage, 'eu'),
    heal: ({ broker }) => broker.regions.eu.redis.start(),
  }),
  inRegions({
    name: 'regions-clock',
    title: "two regions: one's clocks are an hour off, the link is cut",
    async fault(stage) {
      const { us, eu } = stage.broker.regions;
      const isAhead = stage.random() < 0.5;
      for (const application of stage.applications) {
        if (application.region !== 'us') continue;
        await application.setClock(isAhead ? HOUR : -HOUR);
      }
      // The clocks of two servers matter only in their difference.
      const ahead = isAhead ? us : eu;
      stage.broker.repeated.add(await journalAhead(ahead, HOUR));
      await stage.writes(LOST / 2);
      await cutOff(stage, BOTH_WAYS);
    },
    heal: (stage) => heal(stage, BOTH_WAYS),
  }),
];

async function kill(stage, name) {
  await stage.broker.regions[name].redis.kill();
  await stage.writes(LOST);
}
