import type { InvalidationMetrics } from './invalidation-metrics.js';

/** Values by label, `''` for a metric without one; by several labels, each in its place. @internal */
export type MetricValues = Iterable<
  readonly [label: string | readonly string[], value: number]
>;

/** Labels with few values, so never the id of an entity. */
type MetricLabel = 'cause' | 'reason' | 'state' | 'source' | 'cache';

/** A metric that is read when it is scraped. @internal */
export interface MetricDefinition {
  /** Name without the prefix and the suffixes of the metrics system. */
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly unit?: 'seconds' | 'bytes';
  readonly label?: MetricLabel | readonly MetricLabel[];
  readonly read: (metrics: InvalidationMetrics) => MetricValues;
}

/** The labels of a value, by their names. @internal */
export function labelsOf(
  { label }: MetricDefinition,
  values: string | readonly string[],
): Readonly<Record<string, string>> {
  if (label === undefined) return {};
  const texts = [values].flat();
  return Object.fromEntries(
    [label].flat().map((name, index) => [name, texts[index] ?? '']),
  );
}
