import { InvalidationStats } from 'nestjs-cache-invalidation';
import { filter, firstValueFrom } from 'rxjs';
import { startApp, startRaw } from './apps.mjs';
import { interleaved } from './measure.mjs';

const MISSED = 50_000;
const STEP = 1_000;

/** Replay of the messages that an instance missed. */
export async function replay(url, rounds) {
  const raw = await startRaw(url);
  const result = await interleaved(rounds, { module: () => missed(url, raw) });
  raw.disconnect();
  const { time, widened, replayed } = result.module;
  if (widened > 0 || replayed !== MISSED) {
    throw new Error(`Replayed ${replayed}, widened ${widened}.`);
  }
  return {
    title: 'Replay',
    note: `${MISSED} messages were published while the subscription was away. The time is from its loss until the last of them is delivered, reconnection included.`,
    columns: ['time', 'messages/s'],
    rows: [
      [
        'module',
        `${Math.round(time)} ms`,
        Math.round((MISSED / time) * 1_000).toLocaleString('en-US'),
      ],
    ],
  };
}

async function missed(url, raw) {
  await raw.flushall();
  const app = await startApp(url);
  const publisher = await startApp(url, 'elsewhere');
  await app.publisher.invalidate('User', 'first');
  // Messages published elsewhere continue this journal, without being received
  // here.
  await raw.rename('{bench:journaled}:journal', '{bench:elsewhere}:journal');
  for (let from = 0; from < MISSED; from += STEP) {
    await Promise.all(
      Array.from({ length: STEP }, (_, i) =>
        publisher.publisher.invalidate('User', String(from + i)),
      ),
    );
  }
  await publisher.close();
  await raw.rename('{bench:elsewhere}:journal', '{bench:journaled}:journal');

  let widened = 0;
  const last = firstValueFrom(
    app.subscriber.messages$.pipe(
      filter((message) => {
        if (message.widened !== null) widened++;
        return message.entityId === String(MISSED - 1);
      }),
    ),
  );
  const start = performance.now();
  await raw.client('KILL', 'TYPE', 'pubsub');
  await last;
  const time = performance.now() - start;
  const { replayed } = app.app.get(InvalidationStats).snapshot();
  await app.close();
  return { time, widened, replayed };
}
