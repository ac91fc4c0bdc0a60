import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import {
  encodeMessage,
  entity,
  Instance,
} from '../../dist/lib/message/index.js';
import {
  journalKey,
  RedisJournal,
  relayKey,
} from '../../dist/lib/transport/index.js';
import { Link } from '../chaos/link.mjs';
import { startApp } from './apps.mjs';
import { interleaved, ms, percentile, perSecond } from './measure.mjs';
import { startServer } from './server.mjs';

const COMMAND = fileURLToPath(
  new URL('../../dist/lib/cli/main.js', import.meta.url),
);
const CHANNEL = 'bench:regions';
const ONE_WAY_MS = 40;
const RATE = 200;
const TOTAL = 400;
const MISSED = 1_000_000;
const STEP = 500;

/**
 * Two regions with a link of 80 ms round trip, and the command `relay` between them.
 * The replay has a third of the rounds: each takes half a minute.
 */
export async function regions(url, rounds) {
  const eu = await startServer({ own: true });
  const link = await Link.open(Number(new URL(url).port));
  link.latency = () => ONE_WAY_MS;
  const over = `redis://127.0.0.1:${link.port}`;
  try {
    const latency = await latencies(url, eu.url, over, rounds);
    const replay = await replays(url, eu.url, over, Math.ceil(rounds / 3));
    return {
      title: 'Regions',
      note: `A link of ${2 * ONE_WAY_MS} ms round trip. Latency from a publish in one region to the delivery in the other at ${RATE} a second, ${TOTAL} a round; raw is a subscriber of ioredis on the same link. Replay of ${perSecond(MISSED)} messages that were published while no relay ran, until the record of the new one is at their end, its start included; the memory is the relay's, at the most and when half was replayed.`,
      columns: ['p50', 'p99', 'messages/s', 'time', 'most memory', 'half way'],
      rows: [
        ['raw', ms(latency.raw.p50), ms(latency.raw.p99), '', '', '', ''],
        ['relay', ms(latency.relay.p50), ms(latency.relay.p99), '', '', '', ''],
        [
          'replay',
          '',
          '',
          perSecond((MISSED / replay.time) * 1e3),
          `${(replay.time / 1e3).toFixed(1)} s`,
          `${Math.round(replay.most)} MiB`,
          `${Math.round(replay.half)} MiB`,
        ],
      ],
    };
  } finally {
    await link.close();
    eu.stop();
  }
}

async function latencies(us, eu, over, rounds) {
  const writer = await startApp(us, 'us');
  const reader = await startApp(eu, 'eu');
  const relay = startRelay(eu, over);
  const raw = new Redis(over);
  await raw.subscribe(CHANNEL);
  let arrived = () => undefined;
  const taken = (id) => {
    if (/^\d{12,}$/.test(id))
      arrived(Number(process.hrtime.bigint() - BigInt(id)) / 1e6);
  };
  let to = 'raw';
  raw.on('message', (_channel, payload) => {
    if (to === 'raw') taken(JSON.parse(payload).entity_id ?? '');
  });
  reader.subscriber.messages$.subscribe(({ entityId }) => {
    if (to === 'relay') taken(entityId ?? '');
  });
  while (!Number.isFinite(reader.subscriber.staleness())) await delay(20);
  const run = (name) => async () => {
    to = name;
    const times = [];
    const done = new Promise((resolve) => {
      arrived = (time) => times.push(time) === TOTAL && resolve();
    });
    for (let i = 0; i < TOTAL; i++) {
      void writer.publisher.invalidate('User', String(process.hrtime.bigint()));
      await delay(1_000 / RATE);
    }
    await done;
    return { p50: percentile(times, 50), p99: percentile(times, 99) };
  };
  const result = await interleaved(rounds, {
    raw: run('raw'),
    relay: run('relay'),
  });
  raw.disconnect();
  await relay.stop();
  await writer.close();
  await reader.close();
  return result;
}

async function replays(us, eu, over, rounds) {
  const source = new Redis(us);
  const local = new Redis(eu);
  const journal = new RedisJournal(source, {
    channel: CHANNEL,
    sharded: false,
    maxLength: 2 * MISSED,
  });
  const instance = new Instance('bench', 'us');
  const payloads = Array.from({ length: STEP }, (_, i) =>
    encodeMessage(instance.stamp(entity('User', `missed ${i}`)), Infinity),
  );
  const record = relayKey(CHANNEL, 'us');
  const result = await interleaved(rounds, {
    async replay() {
      await source.del(journalKey(CHANNEL));
      await local.flushall();
      await journal.publish(payloads.slice(0, 1), null, 0);
      await local.hset(record, 'offset', await journal.tail());
      for (let at = 0; at < MISSED; at += STEP) {
        await journal.publish(payloads, null, 0);
      }
      const end = await journal.tail();
      const start = performance.now();
      const relay = startRelay(eu, over);
      const memory = [];
      let offset;
      do {
        await delay(20);
        offset = await local.hget(record, 'offset');
        memory.push(relay.memory());
      } while (offset !== end);
      const time = performance.now() - start;
      await relay.stop();
      return {
        time,
        most: Math.max(...memory),
        half: memory[Math.floor(memory.length / 2)],
      };
    },
  });
  source.disconnect();
  local.disconnect();
  return result.replay;
}

/** The command `relay` in a process of its own. */
function startRelay(eu, source) {
  const child = spawn(
    process.execPath,
    [COMMAND, 'relay', '--region', 'eu', '--source', `us=${source}`].concat([
      '--url',
      eu,
      '--channel',
      CHANNEL,
      '--keep',
      '10000',
    ]),
    { stdio: 'ignore' },
  );
  return {
    /** Resident memory in MiB. */
    memory: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024;
    },
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}
