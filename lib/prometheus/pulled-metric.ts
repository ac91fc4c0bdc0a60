import { Gauge, type Aggregator } from 'prom-client';
import type { InvalidationMetrics } from '../observability/index.js';

/** One line of a scrape. @internal */
export interface Sample {
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** The name of the sample if it differs from the metric's, as in a histogram. */
  readonly metricName?: string;
}

/** The description of one metric for Prometheus. @internal */
export interface Exposition {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Combines the values of a cluster's workers. */
  readonly aggregator: Aggregator;
  /** Samples without the label `service`. */
  readonly read: (source: InvalidationMetrics) => Iterable<Sample>;
}

/**
 * A metric that keeps no values: each scrape reads its sources. It extends Gauge
 * whatever its type, since of a Gauge prom-client reads nothing but `get()`.
 *
 * @internal
 */
export class PulledMetric extends Gauge {
  /** Read by prom-client to name OpenMetrics' counters. */
  readonly type: string;
  /** Sources by service. */
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
 * Infinity as text: the workers of a cluster send their values as JSON, which has no
 * Infinity, and the aggregators of the primary process convert the text back.
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
