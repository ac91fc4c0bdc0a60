import {
  LATENCIES,
  labelsOf,
  LATENCY_BOUNDS,
  METRICS,
  type LatencyDefinition,
  type MetricDefinition,
} from '../observability/index.js';
import type { Exposition } from './pulled-metric.js';

const PREFIX = 'cache_invalidation_';

/** All there is, under the names that Prometheus' conventions give it. @internal */
export const EXPOSITIONS: readonly Exposition[] = [
  ...METRICS.map(ofMetric),
  ...LATENCIES.map(ofLatency),
];

function ofMetric(metric: MetricDefinition): Exposition {
  const { name, help, kind, unit, label, read } = metric;
  const inUnit = unit === undefined ? name : `${name}_${unit}`;
  return {
    name: PREFIX + (kind === 'counter' ? `${inUnit}_total` : inUnit),
    help,
    type: kind,
    // The sum of the workers' staleness, or of what each sees of one log, would mean nothing.
    aggregator: unit === undefined ? 'sum' : 'max',
    *read(source) {
      for (const [which, value] of read(source)) {
        yield label === undefined
          ? { value }
          : { labels: labelsOf(metric, which), value };
      }
    },
  };
}

function ofLatency({ name, help, of }: LatencyDefinition): Exposition {
  const metric = `${PREFIX}${name}_seconds`;
  return {
    name: metric,
    help,
    type: 'histogram',
    aggregator: 'sum',
    *read(source) {
      const { counts, sum } = of(source);
      let count = 0;
      for (const [index, le] of [...LATENCY_BOUNDS, '+Inf'].entries()) {
        count += counts[index]!;
        yield { metricName: `${metric}_bucket`, labels: { le }, value: count };
      }
      yield { metricName: `${metric}_sum`, value: sum };
      yield { metricName: `${metric}_count`, value: count };
    },
  };
}
