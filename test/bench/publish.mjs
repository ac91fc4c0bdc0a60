import { RAW_CHANNEL, rawMessage, startPublishers } from './apps.mjs';
import {
  inFlight,
  interleaved,
  ms,
  percentile,
  perSecond,
  ratio,
  us,
} from './measure.mjs';

const AWAITED = 2_000;
const TOTAL = 40_000;

/** One caller that awaits each publish before the next. */
export async function awaitedPublish(url, rounds) {
  const { app, bare, raw, close } = await startPublishers(url);
  const timed = (publish) => async () => {
    const times = [];
    for (let i = 0; i < AWAITED; i++) {
      const start = performance.now();
      await publish(String(i));
      times.push(performance.now() - start);
    }
    return { p50: percentile(times, 50), p99: percentile(times, 99) };
  };
  const result = await interleaved(rounds, {
    raw: timed((id) =>
      raw.publish(RAW_CHANNEL, JSON.stringify(rawMessage(id))),
    ),
    'module, journal: false': timed((id) =>
      bare.publisher.invalidate('User', id),
    ),
    module: timed((id) => app.publisher.invalidate('User', id)),
  });
  await close();
  return {
    title: 'Awaited publish',
    note: `One caller, ${AWAITED} publishes a round, each awaited; the process receives its own echo.`,
    columns: ['p50', 'p99', 'p50 to raw'],
    rows: Object.entries(result).map(([name, { p50, p99 }]) => [
      name,
      ms(p50),
      ms(p99),
      ratio(p50, result.raw.p50),
    ]),
  };
}

/** Throughput of publishing alone: 256 in flight, or pipelines of 100 made by hand. */
export async function publishThroughput(url, rounds) {
  const { app, bare, raw, close } = await startPublishers(url);
  const timed = (publish) => async () => {
    const cpu = process.cpuUsage();
    const start = performance.now();
    await publish();
    const { user, system } = process.cpuUsage(cpu);
    return {
      rate: (TOTAL / (performance.now() - start)) * 1_000,
      cpu: (user + system) / TOTAL,
    };
  };
  const result = await interleaved(rounds, {
    'raw, one call per message': timed(() => publishSingly(raw, TOTAL)),
    'raw, pipelines of 100': timed(() => publishPipelined(raw, TOTAL)),
    'module, journal: false': timed(() => publishThroughModule(bare, TOTAL)),
    module: timed(() => publishThroughModule(app, TOTAL)),
  });
  await close();
  return {
    title: 'Publish throughput',
    note: `${TOTAL} messages of about 250 bytes, 256 in flight; only the publishing process is subscribed, and receives its own echo.`,
    columns: ['messages/s', 'CPU of the publisher', 'to one call per message'],
    rows: Object.entries(result).map(([name, { rate, cpu }]) => [
      name,
      perSecond(rate),
      us(cpu),
      ratio(rate, result['raw, one call per message'].rate),
    ]),
  };
}

export function publishSingly(raw, total) {
  return inFlight(total, 256, (i) =>
    raw.publish(RAW_CHANNEL, JSON.stringify(rawMessage(String(i)))),
  );
}

export async function publishPipelined(raw, total) {
  for (let i = 0; i < total; i += 100) {
    const pipeline = raw.pipeline();
    for (let j = i; j < i + 100; j++) {
      pipeline.publish(RAW_CHANNEL, JSON.stringify(rawMessage(String(j))));
    }
    await pipeline.exec();
  }
}

export function publishThroughModule(app, total) {
  return inFlight(total, 256, (i) =>
    app.publisher.invalidate('User', String(i)),
  );
}
