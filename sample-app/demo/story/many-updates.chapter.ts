import type { Post } from '../../content-service/post.js';
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

/**
 * Update and read, often enough for percentiles. Both gateways have a copy each time:
 * posts, since a change of a user is announced again, as every change of its row.
 */
export async function manyUpdates(
  { network, http, judge, print }: Story,
  { postIds: [, , id] }: Cast,
): Promise<void> {
  print.heading(`${UPDATES} updates, each read at once through both gateways`);
  const url = `${network.urlOf('content-service')}/posts/${id}`;
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
    const title = `Edition ${number}`;
    const update = await http.mustSend<Post>('PUT', url, { title });
    times['update']!.push(update.ms);
    for (const gateway of GATEWAYS) {
      const { ms } = await judge.readUntil<Post>(
        `${network.urlOf(gateway)}/posts/${id}`,
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
    ['PUT content-service, answered', ...columnsOf(times['update'])],
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
