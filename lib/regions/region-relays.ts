import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import type { InvalidationRole } from '../common/index.js';
import { Instance } from '../message/index.js';
import { ErrorReporter } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { RegionRelay } from './region-relay.js';
import type { RegionsOptions } from './regions.options.js';
import type { ReaderOptions } from './reader-listener.js';
import { ServerCheck } from './server-check.js';

/** @internal */
export interface RegionRelaysOptions extends ReaderOptions {
  readonly enabled: boolean;
  readonly role: InvalidationRole;
  readonly regions?: RegionsOptions | undefined;
}

/**
 * The relays of this instance, one for each source that has a connection. A subscriber
 * has none: it may not write to its region's journal.
 *
 * @internal
 */
@Injectable()
export class RegionRelays {
  readonly relays: readonly RegionRelay[];
  /** Checks this region's own Redis; `null` without regions. */
  readonly #check: ServerCheck | null;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) options: RegionRelaysOptions,
    transport: InvalidationTransport,
    instance: Instance,
    errors: ErrorReporter,
  ) {
    const { enabled, role, regions } = options;
    const check = new ServerCheck(
      regions?.local ?? '',
      transport,
      (error) => errors.report(error),
      false,
    );
    this.#check = enabled && regions !== undefined ? check : null;
    const sources = Object.entries(regions?.sources ?? {}).filter(
      ([, { connection }]) => connection !== undefined,
    );
    this.relays =
      !enabled || role === 'subscriber'
        ? []
        : sources.map(
            ([name, source]) =>
              new RegionRelay(name, source, {
                options,
                local: regions!.local,
                transport,
                instance,
                sources: Object.keys(regions!.sources),
                errors,
                check,
                open: () => transport.ofRegion(name, source),
              }),
          );
  }

  start(): void {
    void this.#check?.run();
    for (const relay of this.relays) relay.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.relays.map((relay) => relay.stop()));
  }
}
