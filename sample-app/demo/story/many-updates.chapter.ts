import type { User } from '../../user-service/user.js';
import { summaryOf } from '../summary.js';
import { milliseconds } from '../printer.js';
import {
  DIRECT_PATIENCE_MS,
  GATEWAYS,
  type Cast,
  type Story,
} from './story.js';

const UPDATES = 200;
const PROGRESS_EVERY = 10;

/** Update and read, often enough for percentiles. Both gateways have a copy each time. */
export async function manyUpdates(
  { network, http, judge, print }: Story,
  { adaId }: Cast,
): Promise<void> {
  print.heading(`${UPDATES} updates, each read at once through both gateways`);
  const url = `${network.urlOf('user-service')}/users/${adaId}`;
  const times: Record<string, number[]> = { update: [] };
  const oldReadsBefore = judge.oldReads;
  const staleBefore = judge.stale;
  const checksBefore = judge.checks;
  // One stale read is enough to fail, and each takes long.
  for (
    let number = 1;
    number <= UPDATES && judge.stale === staleBefore;
    number++
  ) {
    const name = `Ada Lovelace the ${number}.`;
    const update = await http.mustSend<User>('PUT', url, { name });
    times['update']!.push(update.ms);
    for (const gateway of GATEWAYS) {
      const { ms } = await judge.readUntil<User>(
        `${network.urlOf(gateway)}/users/${adaId}`,
        update.ended,
        ({ body }) => body.version === update.body.version,
        DIRECT_PATIENCE_MS,
      );
      (times[gateway] ??= []).push(ms);
    }
    if (number % PROGRESS_EVERY === 0) {
      print.progress(`${number} of ${UPDATES} updates`, number === UPDATES);
    }
  }
  print.table([
    ['milliseconds', 'p50', 'p90', 'p99', 'max'],
    ['PUT user-service, answered', ...columnsOf(times['update'])],
    ['... to a fresh read through gateway', ...columnsOf(times['gateway'])],
    ['... and then through gateway-2', ...columnsOf(times['gateway-2'])],
  ]);
  print.text(
    `${judge.checks - checksBefore} checks: ` +
      `${judge.oldReads - oldReadsBefore} old reads before the fresh one, ` +
      `${judge.stale - staleBefore} stale`,
  );
}

function columnsOf(times: readonly number[] = []): string[] {
  const { p50, p90, p99, max } = summaryOf(times);
  return [p50, p90, p99, max].map(milliseconds);
}
