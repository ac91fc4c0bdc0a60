import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import type { SigningOptions } from '../signing/index.js';
import {
  RedisTransport,
  type InvalidationTransport,
  type RedisConnection,
} from '../transport/index.js';
import type { RegionSource } from './regions.options.js';

/** @internal */
export interface SourceTransportOptions {
  readonly channel: string;
  readonly sharded: boolean;
  readonly maxMessageBytes: number;
  readonly signing?: SigningOptions | undefined;
}

/**
 * Opens the Redis of another region, to be read only.
 *
 * @internal
 */
@Injectable()
export class SourceTransports {
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: SourceTransportOptions,
  ) {}

  open(source: RegionSource): InvalidationTransport {
    const { sharded, maxMessageBytes, signing, channel } = this.options;
    return new RedisTransport({
      connection: source.connection as RedisConnection,
      channel: source.channel ?? channel,
      role: 'subscriber',
      // Nothing is published there.
      journal: { maxLength: 1 },
      sharded,
      maxMessageBytes,
      signing,
    });
  }
}
