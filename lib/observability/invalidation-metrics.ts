import { Injectable } from '@nestjs/common';
import { NearCacheFactory } from '../cache/index.js';
import { Instance } from '../message/index.js';
import { InvalidationPublisher } from '../publisher/index.js';
import { RegionRelays } from '../regions/index.js';
import { InvalidationSubscriber, Staleness } from '../subscriber/index.js';
import { InvalidationCounters } from './invalidation-counters.js';
import { InvalidationSources } from './invalidation-sources.js';

/**
 * The sources that metrics of one application are read from.
 *
 * @internal
 */
@Injectable()
export class InvalidationMetrics {
  readonly serviceName: string;

  constructor(
    instance: Instance,
    readonly counters: InvalidationCounters,
    readonly publisher: InvalidationPublisher,
    readonly subscriber: InvalidationSubscriber,
    readonly nearCaches: NearCacheFactory,
    readonly staleness: Staleness,
    readonly regions: RegionRelays,
    readonly sources: InvalidationSources,
  ) {
    this.serviceName = instance.serviceName;
  }
}
