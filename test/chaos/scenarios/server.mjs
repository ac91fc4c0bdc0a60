/** 3 and 4: the server dies, or stops. */
import { singleBroker } from '../brokers.mjs';
import { KEEPING_DATA } from '../redis.mjs';

const LOST = 1_500;

export const server = [
  {
    name: 'redis-restarted-empty',
    title: 'Redis killed (SIGKILL) and restarted empty',
    fault: die,
    async heal({ redis }) {
      redis.forget();
      await redis.start();
    },
  },
  {
    name: 'redis-restarted-with-data',
    title: 'Redis killed (SIGKILL) and restarted with its data',
    broker: () => singleBroker({ args: KEEPING_DATA }),
    fault: die,
    heal: ({ redis }) => redis.start(),
  },
  {
    name: 'redis-stopped',
    title: 'Redis stopped (SIGSTOP) for longer than every timeout, continued',
    async fault(stage) {
      stage.redis.pause();
      await stage.writes(LOST);
      await stage.last(2_000, 25_000);
    },
    heal: ({ redis }) => redis.resume(),
  },
];

async function die(stage) {
  await stage.redis.kill();
  await stage.writes(LOST);
}
