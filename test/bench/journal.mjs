import { randomUUID } from 'node:crypto';
import { startApp, startRaw } from './apps.mjs';

const MESSAGES = 20_000;
const AT_ONCE = 100;
/** Journal of the contestant `module`. */
const JOURNAL = '{bench:journaled}:journal';

const KINDS = {
  'one entity, a number as id': (publisher, n) =>
    publisher.invalidate('User', n),
  'one entity, a UUID as id': (publisher) =>
    publisher.invalidate('User', randomUUID()),
  'a batch of 100 keys with UUIDs': (publisher) =>
    publisher.invalidateBatch(
      Array.from({ length: 100 }, () => `user:${randomUUID()}`),
    ),
};

/** Memory of a message in Redis, the same in every round. */
export async function journal(url) {
  const redis = await startRaw(url);
  const rows = [];
  for (const [kind, publish] of Object.entries(KINDS)) {
    rows.push([kind, (await bytesEach(url, redis, publish)).toFixed(0)]);
  }
  redis.disconnect();
  return {
    title: 'Memory of the journal',
    note: `\`MEMORY USAGE\` of a journal of ${MESSAGES} messages, by its length; no metadata.`,
    columns: ['bytes a message'],
    rows,
  };
}

async function bytesEach(url, redis, publish) {
  await redis.del(JOURNAL);
  const { publisher, close } = await startApp(url);
  for (let n = 0; n < MESSAGES; n += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, i) => n + i);
    await Promise.all(some.map((id) => publish(publisher, id)));
  }
  await close();
  const bytes = await redis.memory('USAGE', JOURNAL, 'SAMPLES', 0);
  return bytes / (await redis.xlen(JOURNAL));
}
