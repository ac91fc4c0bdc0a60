import { Redis } from 'ioredis';
import {
  encodeMessage,
  entity,
  Instance,
} from '../../dist/lib/message/index.js';
import { MessageSigner } from '../../dist/lib/signing/index.js';
import { RedisJournal } from '../../dist/lib/transport/index.js';
import { interleaved, us } from './measure.mjs';

const TIMES = 50_000;
const CALLS = 200;
const IN_ONE_CALL = 64;
const CHANNEL = 'bench:signing';

/** Microseconds per message that signatures cost the publisher, Redis and a reader. */
export async function signing(url, rounds) {
  const keys = { bench: Buffer.alloc(32, 1) };
  const signer = MessageSigner.of({ keys }, CHANNEL);
  const instance = new Instance('bench');
  const payloads = Array.from({ length: 1_000 }, (_, i) =>
    encodeMessage(instance.stamp(entity('User', String(i))), Infinity),
  );
  const client = new Redis(url);
  const options = { channel: CHANNEL, sharded: false, maxLength: 10_000 };
  const unsigned = new RedisJournal(client, options);
  const signed = new RedisJournal(client, options, signer);
  await signed.publish(payloads, null, 0);
  const entries = await signed.read('-', payloads.length);
  if (entries.some(({ payload }) => signer.verify(payload) !== null)) {
    throw new Error('A signed message was not verified.');
  }
  const each = (work) => async () => {
    const start = performance.now();
    for (let i = 0; i < TIMES; i++) work(i % payloads.length);
    return ((performance.now() - start) * 1e3) / TIMES;
  };
  const inRedis = (journal) => async () => {
    const before = await cpuOf(client);
    for (let i = 0; i < CALLS; i++) {
      const from = (i * IN_ONE_CALL) % 900;
      await journal.publish(payloads.slice(from, from + IN_ONE_CALL), null, 0);
    }
    return ((await cpuOf(client)) - before) / (CALLS * IN_ONE_CALL);
  };
  const result = await interleaved(rounds, {
    sign: each((i) => signer.sign(payloads[i])),
    'verify, of a message with a place': each((i) =>
      signer.verify(entries[i].payload),
    ),
    'Redis, unsigned': inRedis(unsigned),
    'Redis, signed': inRedis(signed),
  });
  client.disconnect();
  return {
    title: 'Signing',
    note: `${TIMES} messages of about 300 bytes a round. CPU of Redis for a message, journaled and published in calls of ${IN_ONE_CALL}.`,
    columns: ['per message'],
    rows: Object.entries(result).map(([name, time]) => [name, us(time)]),
  };
}

/** CPU time that the server has used, in microseconds. */
async function cpuOf(client) {
  const info = await client.info('cpu');
  const [, user] = /used_cpu_user:([\d.]+)/.exec(info);
  const [, system] = /used_cpu_sys:([\d.]+)/.exec(info);
  return (Number(user) + Number(system)) * 1e6;
}
