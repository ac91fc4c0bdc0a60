import { Gauge, type Aggregator } from 'prom-client';
import type { InvalidationMetrics } from '../observability/index.js';

/** One line of a scrape. @internal */
export interface Sample {
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** The name of the sample, where it is not the metric's, as in a histogram. */
  readonly metricName?: string;
}

/** One metric, as Prometheus is told of it. @internal */
export interface Exposition {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** How the values of a cluster's workers become one. */
  readonly aggregator: Aggregator;
  /** Without the label `service`. */
  readonly read: (source: InvalidationMetrics) => Iterable<Sample>;
}

/**
 * A metric that keeps no values: it asks each of its sources when it is scraped.
 * Only by descent a Gauge, whatever its type: of prom-client's classes the one
 * of which no more is read than what `get()` answers.
 *
 * @internal
 */
export class PulledMetric extends Gauge {
  /** prom-client names OpenMetrics' counters by it. */
  readonly type: string;
  /** By service. */
  readonly sources = new Map<string, InvalidationMetrics>();

  constructor(readonly exposition: Exposition) {
    const { name, help, aggregator, type } = exposition;
    super({ name, help, aggregator, registers: [] });
    this.type = type;
  }

  override async get() {
    return { ...(await super.get()), values: [...this.#samples()] };
  }

  *#samples() {
    for (const [service, source] of this.sources) {
      for (const sample of this.exposition.read(source)) {
        const value = portable(sample.value);
        yield { ...sample, value, labels: { service, ...sample.labels } };
      }
    }
  }
}

/**
 * The workers of a cluster send their values as JSON, which has no Infinity: as
 * text it counts for the aggregators of the primary process as what it is.
 */
class PortableInfinity extends Number {
  constructor() {
    super(Infinity);
  }

  toJSON(): string {
    return 'Infinity';
  }
}

const INFINITY = new PortableInfinity() as unknown as number;

function portable(value: number): number {
  return value === Infinity ? INFINITY : value;
}
