import { Injectable } from '@nestjs/common';
import {
  HealthIndicatorService,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import type { Duration } from '../common/index.js';
import { InvalidationHealth } from '../observability/index.js';

type Say<Key extends string> = (
  details: Record<string, unknown>,
) => HealthIndicatorResult<Key>;

/** The result of Terminus for a key. */
interface Session<Key extends string> {
  up: Say<Key>;
  down: Say<Key>;
  /** Since Terminus 12. */
  degraded?: Say<Key>;
}

/**
 * The health of invalidations, for `@nestjs/terminus`: a provider of the module with
 * your health controller, beside an import of `TerminusModule`. If
 * `CacheInvalidationModule` is not global, that module imports it, too.
 *
 * Each result reports the state of the subscription and a reason, `staleness`
 * (of each region in `regions`) and `lag` in milliseconds, and how many messages wait
 * in the `outbox`; see `InvalidationHealthReport`.
 *
 * @example
 * ```ts
 * @Controller('health')
 * export class HealthController {
 *   constructor(
 *     private readonly health: HealthCheckService,
 *     private readonly invalidations: CacheInvalidationHealthIndicator,
 *   ) {}
 *
 *   @Get()
 *   @HealthCheck()
 *   check() {
 *     return this.health.check([() => this.invalidations.isHealthy()]);
 *   }
 *
 *   @Get('ready')
 *   @HealthCheck()
 *   ready() {
 *     return this.health.check([
 *       () => this.invalidations.isReady('cache-invalidation', { timeout: 2_000 }),
 *     ]);
 *   }
 * }
 * ```
 * @publicApi
 */
@Injectable()
export class CacheInvalidationHealthIndicator {
  /** @internal */
  constructor(
    private readonly health: InvalidationHealth,
    private readonly indicators: HealthIndicatorService,
  ) {}

  /**
   * Whether this instance should get requests now. A degraded instance should: its
   * copies may be older than usual, and nothing is lost. The response is 200 then, with
   * the status `degraded` (with Terminus 11, which has no such status,
   * `up` with `degraded: true`). Down is 503.
   *
   * Do not restart an instance that is down: once Redis is back, the instance replays
   * the messages it missed.
   */
  isHealthy<const Key extends string = 'cache-invalidation'>(
    key = 'cache-invalidation' as Key,
  ): HealthIndicatorResult<Key> {
    const { status, ...details } = this.health.check();
    const session: Session<Key> = this.indicators.check(key);
    return (
      session[status]?.(details) ?? session.up({ ...details, degraded: true })
    );
  }

  /**
   * Whether this instance has received everything once since it started; before that
   * it should get no requests. It stays up from then on, also while Redis is away.
   *
   * @param options.timeout how long to wait until it has, in milliseconds or as a text
   * such as `'5s'`; 0 if absent
   */
  async isReady<const Key extends string = 'cache-invalidation'>(
    key = 'cache-invalidation' as Key,
    options: { readonly timeout?: Duration } = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const isReady = await this.health.ready(options);
    const { status: _, ...details } = this.health.check();
    const session = this.indicators.check(key);
    return isReady ? session.up(details) : session.down(details);
  }
}
