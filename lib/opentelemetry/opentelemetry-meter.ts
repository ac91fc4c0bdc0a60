import {
  metrics as api,
  type Attributes,
  type BatchObservableResult,
  type Histogram,
  type Meter,
  type Observable,
} from '@opentelemetry/api';
import {
  labelsOf,
  LATENCIES,
  LATENCY_BOUNDS,
  METRICS,
  type InvalidationMetrics,
  type LatencyDefinition,
  type MetricDefinition,
} from '../observability/index.js';
import { SCOPE, SERVICE } from './attributes.js';

const PREFIX = 'cache_invalidation.';

/**
 * Staleness before the first proof. No exporter can write Infinity as JSON, and
 * without a value the stalest instance would be missing.
 */
const ENDLESS_SECONDS = 1_000_000_000;

/** Units as OpenTelemetry writes them. */
const UNITS = { seconds: 's', bytes: 'By' } as const;

/**
 * The library's metrics, for OpenTelemetry.
 *
 * @internal
 */
export class OpenTelemetryMeter {
  readonly #service: Attributes;
  #stop: (() => void) | null = null;

  constructor(private readonly metrics: InvalidationMetrics) {
    this.#service = { [SERVICE]: metrics.serviceName };
  }

  start(): void {
    const meter = api.getMeter(SCOPE);
    const observed = METRICS.map((metric) => ({
      metric,
      instrument: instrumentOf(meter, metric),
    }));
    const instruments = observed.map(({ instrument }) => instrument);
    const observe = (result: BatchObservableResult): void => {
      for (const { metric, instrument } of observed) {
        this.#observe(result, metric, instrument);
      }
    };
    meter.addBatchObservableCallback(observe, instruments);
    for (const latency of LATENCIES) this.#record(meter, latency);
    this.#stop = () =>
      meter.removeBatchObservableCallback(observe, instruments);
  }

  stop(): void {
    for (const { of } of LATENCIES) of(this.metrics).listener = null;
    try {
      this.#stop?.();
    } catch {
      // A provider that ends after this one may still have invalidations to send.
    }
  }

  #observe(
    result: BatchObservableResult,
    metric: MetricDefinition,
    instrument: Observable,
  ): void {
    for (const [labelled, value] of metric.read(this.metrics)) {
      const attributes: Attributes = { ...this.#service };
      for (const [name, text] of Object.entries(labelsOf(metric, labelled))) {
        attributes[PREFIX + name] = text;
      }
      const { unit } = metric;
      result.observe(
        instrument,
        unit === 'bytes' ? value : Math.min(value, ENDLESS_SECONDS),
        attributes,
      );
    }
  }

  #record(meter: Meter, { name, help, of }: LatencyDefinition): void {
    const histogram = meter.createHistogram(PREFIX + name, {
      description: help,
      unit: 's',
      advice: { explicitBucketBoundaries: [...LATENCY_BOUNDS] },
    });
    of(this.metrics).listener = (latency) => this.#measure(histogram, latency);
  }

  /** Runs on the hot path: an error of the SDK costs the measurement, and no message. */
  #measure(histogram: Histogram, latency: number): void {
    try {
      histogram.record(latency / 1_000, this.#service);
    } catch {
      // A measurement has no caller to report to.
    }
  }
}

function instrumentOf(
  meter: Meter,
  { name, kind, help, unit }: MetricDefinition,
): Observable {
  const options = {
    description: help,
    ...(unit === undefined ? {} : { unit: UNITS[unit] }),
  };
  return kind === 'counter'
    ? meter.createObservableCounter(PREFIX + name, options)
    : meter.createObservableGauge(PREFIX + name, options);
}
