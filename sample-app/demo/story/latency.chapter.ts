import type {
  InvalidationStatsSnapshot,
  LatencySummary,
} from 'nestjs-cache-invalidation';
import type { InstanceName } from '../../shared/services.js';
import { INSTANCES } from '../network.js';
import { milliseconds } from '../printer.js';
import type { Story } from './story.js';

type Column = Exclude<keyof LatencySummary, 'count'>;

const COLUMNS = ['p50', 'p90', 'p99', 'max'] as const;

/** Latencies that the services measured since they started. */
export async function latencies({
  network,
  http,
  print,
}: Story): Promise<void> {
  const stats = await Promise.all(
    INSTANCES.map(async ({ name }) => {
      const url = `${network.urlOf(name)}/stats`;
      const { body } = await http.mustSend<InvalidationStatsSnapshot>(
        'GET',
        url,
      );
      return { name, stats: body };
    }),
  );
  print.heading('Latencies by GET /stats, milliseconds');
  print.table([
    ['publish: call to answer of Redis', 'sent', ...COLUMNS],
    ...rowsOf(stats, 'publish', COLUMNS),
  ]);
  print.line();
  print.table([
    ['propagation: publisher to subscriber', 'received', ...COLUMNS],
    ...rowsOf(stats, 'propagation', COLUMNS),
  ]);
  print.line();
  print.table([
    ['handler: @OnInvalidation, near caches', 'runs', ...COLUMNS],
    ...rowsOf(stats, 'handler', COLUMNS),
  ]);
}

function rowsOf(
  stats: readonly { name: InstanceName; stats: InvalidationStatsSnapshot }[],
  what: keyof InvalidationStatsSnapshot['latency'],
  columns: readonly Column[],
): string[][] {
  return stats
    .filter(({ stats: { latency } }) => latency[what].count > 0)
    .map(({ name, stats: { latency } }) => [
      name,
      String(latency[what].count),
      ...columns.map((column) => milliseconds(latency[what][column])),
    ]);
}
