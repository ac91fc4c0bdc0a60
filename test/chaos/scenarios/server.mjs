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
  refusing('out-of-memory', 'Redis is out of memory and refuses writes', {
    setting: 'maxmemory',
    refuses: 1,
    takes: 0,
  }),
  refusing('no-replicas', 'Redis refuses writes for want of replicas', {
    setting: 'min-replicas-to-write',
    refuses: 1,
    takes: 0,
  }),
];

function refusing(name, title, { setting, refuses, takes }) {
  return {
    name,
    title,
    async fault(stage) {
      await stage.redis.admin.config('SET', setting, refuses);
      await stage.writes(LOST);
    },
    heal: ({ redis }) => redis.admin.config('SET', setting, takes),
  };
}

async function die(stage) {
  await stage.redis.kill();
  await stage.writes(LOST);
}
