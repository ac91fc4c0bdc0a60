import { Logger } from '@nestjs/common';
import { vi } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import { Instance, type Invalidation } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  type StreamOptions,
} from '../../lib/stream/index.js';

/** The stream of one instance, put together without Nest. */
export function makeStream(options: Partial<StreamOptions> = {}) {
  const instance = new Instance('test');
  const meter = new InvalidationCounters(instance);
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  vi.spyOn(Logger.prototype, 'error').mockReturnValue();
  const log = vi.spyOn(reporter, 'log').mockReturnValue();
  const stream = new InvalidationStream(
    { handlerQueueLimit: 100, queueByteLimit: 1_000_000, ...options },
    meter,
    reporter,
  );
  return {
    instance,
    meter,
    errors,
    stream,
    /** Lines that were logged, apart from errors. */
    logged: () => log.mock.calls.map(([level, text]) => `${level} ${text}`),
    /** Delivers messages of another instance. */
    receive: (...invalidations: Invalidation[]) => {
      for (const each of invalidations) {
        stream.deliver({ ...instance.stamp(each), own: false });
      }
    },
  };
}
