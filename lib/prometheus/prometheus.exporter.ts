import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Registry, RegistryContentType } from 'prom-client';
import { InvalidationConfigurationError } from '../errors/index.js';
import { InvalidationMetrics } from '../observability/index.js';
import { EXPOSITIONS } from './expositions.js';
import { InjectMetricsRegistry } from './inject-metrics-registry.decorator.js';
import { PulledMetric, type Exposition } from './pulled-metric.js';

/**
 * One application's metrics in a registry. Other applications are found in the
 * registry itself, so that nothing outlives it.
 *
 * @internal
 */
@Injectable()
export class PrometheusExporter
  implements OnApplicationBootstrap, OnApplicationShutdown
{
  /** Metrics with this application as a source. */
  #metrics: readonly PulledMetric[] = [];
  #service = '';

  constructor(
    @InjectMetricsRegistry()
    private readonly registry: Registry<RegistryContentType>,
    private readonly modules: ModuleRef,
  ) {}

  /** Registers late, since an application that fails to start would never be removed. */
  onApplicationBootstrap(): void {
    const source = this.#find();
    const { serviceName } = source;
    const metrics = EXPOSITIONS.map((exposition) => this.#metricOf(exposition));
    if (metrics.some(({ sources }) => sources.has(serviceName))) {
      throw new InvalidationConfigurationError(
        `The registry of metrics has those of a "${serviceName}" already.`,
        [],
        'Import CacheInvalidationPrometheusModule once, close the earlier application, or give each its own registry or serviceName.',
      );
    }
    for (const metric of metrics) {
      if (metric.sources.size === 0) this.registry.registerMetric(metric);
      metric.sources.set(serviceName, source);
    }
    this.#service = serviceName;
    this.#metrics = metrics;
  }

  onApplicationShutdown(): void {
    for (const metric of this.#metrics) {
      metric.sources.delete(this.#service);
      if (metric.sources.size === 0) this.#remove(metric);
    }
    this.#metrics = [];
  }

  #find(): InvalidationMetrics {
    try {
      // Found in any module: CacheInvalidationModule need not be global.
      return this.modules.get(InvalidationMetrics, { strict: false });
    } catch {
      throw new InvalidationConfigurationError(
        'There is nothing to measure: CacheInvalidationModule is missing.',
        [],
        'Import it beside CacheInvalidationPrometheusModule.',
      );
    }
  }

  #metricOf(exposition: Exposition): PulledMetric {
    const known = this.registry.getSingleMetric(exposition.name);
    if (known === undefined) return new PulledMetric(exposition);
    if (known instanceof PulledMetric) return known;
    throw new InvalidationConfigurationError(
      `The registry has a metric ${exposition.name} that is not of this module.`,
      [],
      'Give CacheInvalidationPrometheusModule.forRoot() another registry, or none.',
    );
  }

  /** Removes a metric, unless the registry was cleared and has another's by now. */
  #remove(metric: PulledMetric): void {
    const { name } = metric.exposition;
    if (this.registry.getSingleMetric(name) === metric) {
      this.registry.removeSingleMetric(name);
    }
  }
}
