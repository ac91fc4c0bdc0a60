/** 10: a subscriber that cannot keep up. */
import { until } from '../wait.mjs';

/** More bytes than Redis' limit of 32 MB and the socket buffers on the way. */
const MESSAGES = 1_600;
const MESSAGE_BYTES = 40_000;

export const load = [
  {
    name: 'slow-consumer',
    title: 'a reader stalls while 64 MB are published, Redis drops it',
    // Pages of such messages take a while, and a heartbeat must not interrupt them.
    options: { heartbeatTimeout: 2_000 },
    async fault(stage) {
      const [slow] = stage.readers;
      const [writer] = stage.writers;
      const before = await subscribers(stage);
      slow.pause();
      await writer.publishLarge(MESSAGES, MESSAGE_BYTES);
      await until('Redis to drop it', async () => {
        return (await subscribers(stage)) < before;
      });
    },
    heal: ({ readers }) => readers[0].resume(),
  },
];

async function subscribers({ redis }) {
  const list = await redis.admin.client('LIST', 'TYPE', 'pubsub');
  return list.trim().split('\n').length;
}
