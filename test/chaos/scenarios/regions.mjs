/** 15: regions, whose links and servers fail. */
import { journalAhead } from '../redis-clock.mjs';
import { KEEPING_DATA } from '../redis.mjs';
import { BOTH_WAYS, cutOff, heal, inRegions, LOST } from './in-regions.mjs';

const HOUR = 3_600_000;
const FROM_US = [['us', 'eu']];
/** Entries that outlast a round trip, but not a cut. */
const SMALL_JOURNAL = 1_500;

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
      // Both regions journal no more than half of all changes meanwhile.
      await stage.writes(4 * SMALL_JOURNAL);
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
  wrongClock('ahead', 'an hour ahead', HOUR),
  wrongClock('behind', 'an hour behind', -HOUR),
];

async function kill(stage, name) {
  await stage.broker.regions[name].redis.kill();
  await stage.writes(LOST);
}

/** A region whose machines have a wrong clock, its Redis included. */
function wrongClock(name, title, shift) {
  return inRegions({
    name: `regions-clock-${name}`,
    title: `two regions: one's clocks are ${title}, the link is cut`,
    instances: [
      { name: 'eu-writer', region: 'eu', writes: true },
      { name: 'eu-reader', region: 'eu' },
      { name: 'us-writer', region: 'us', writes: true, clockShift: shift },
      { name: 'us-reader', region: 'us', clockShift: shift },
    ],
    async fault(stage) {
      const { us, eu } = stage.broker.regions;
      const wrong = shift > 0 ? us : eu;
      const id = await journalAhead(wrong, HOUR);
      stage.broker.repeated.add(id);
      await stage.writes(LOST / 2);
      await cutOff(stage, BOTH_WAYS);
    },
    heal: (stage) => heal(stage, BOTH_WAYS),
  });
}
