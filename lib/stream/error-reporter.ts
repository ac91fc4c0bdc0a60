import { Injectable, Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import {
  CallbackFailedError,
  InvalidationRedisError,
  InvalidationTimeoutError,
  printableStack,
  type CacheInvalidationError,
} from '../errors/index.js';
import { RedisOutage } from './redis-outage.js';

const QUIET_PERIOD_MS = 1_000;
/** Pauses while Redis is away for long. */
const OUTAGE_PERIOD_MS = 60_000;
/** Errors of the connections of publisher and subscriber. */
const OUTAGE = 'redis-outage';
const MAX_SOURCES = 1_000;

interface Source {
  quietUntil: number;
  heldBack: number;
}

/**
 * Takes errors that have no caller to be thrown at, and other lines for the log.
 * Each error is emitted on `errors$`. Each source is logged at most once a second,
 * with the number of lines that were held back, so that garbage on a channel
 * cannot fill a disk. An outage of Redis longer than ten seconds is logged once a
 * minute.
 *
 * @internal
 */
@Injectable()
export class ErrorReporter {
  readonly #logger = new Logger('CacheInvalidation');
  readonly #errors = new Subject<CacheInvalidationError>();
  readonly #sources = new Map<string, Source>();
  /** Outages of the module's Redis and of each other Redis of second tiers. */
  readonly #outages = new Map<string, RedisOutage>();

  readonly errors$: Observable<CacheInvalidationError> =
    this.#errors.asObservable();

  /** @param source throttled as one: a class and method, or an error code */
  report(error: CacheInvalidationError, source: string = error.code): void {
    const outage = this.#outageOf(error, source);
    this.#log('error', error.message, outage ?? source, stackOf(error), outage);
    this.#errors.next(error);
  }

  /**
   * Ends an outage: the next error of Redis is logged at once.
   *
   * @returns how long it was away, in milliseconds; `null` if it was not, or for
   * less than ten seconds
   */
  redisAnswers(): number | null {
    const away = this.#outages.get(OUTAGE)?.end(Date.now()) ?? null;
    if (away !== null) this.#sources.delete(OUTAGE);
    return away;
  }

  /** Logs a line that is not an error, throttled by its source. */
  log(level: 'log' | 'warn', text: string, source: string): void {
    this.#log(level, text, source);
  }

  complete(): void {
    this.#errors.complete();
  }

  #log(
    level: 'log' | 'warn' | 'error',
    text: string,
    name: string,
    stack?: string,
    outage: string | null = null,
  ): void {
    const now = Date.now();
    const source = this.#source(name);
    const period = outage === null ? QUIET_PERIOD_MS : OUTAGE_PERIOD_MS;
    // A clock that was set back must not silence a source for longer.
    if (now < source.quietUntil && source.quietUntil - now <= period) {
      source.heldBack++;
      return;
    }
    const more =
      source.heldBack === 0 ? '' : ` (and ${source.heldBack} more like it)`;
    try {
      if (level === 'error') this.#logger.error(text + more, stack);
      else this.#logger[level](text + more);
    } catch {
      // A failing logger must not break a socket's callback, or a successful call.
    }
    source.quietUntil = now + period;
    source.heldBack = 0;
  }

  /** @returns the source of a long outage, shared by all its errors; `null` otherwise */
  #outageOf(error: CacheInvalidationError, source: string): string | null {
    if (!isOfRedis(error)) return null;
    const name = source === error.code ? OUTAGE : source;
    let outage = this.#outages.get(name);
    if (outage === undefined) {
      if (this.#outages.size >= MAX_SOURCES) this.#outages.clear();
      outage = new RedisOutage();
      this.#outages.set(name, outage);
    }
    return outage.record(Date.now()) ? name : null;
  }

  #source(name: string): Source {
    let source = this.#sources.get(name);
    if (source === undefined) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear();
      source = { quietUntil: 0, heldBack: 0 };
      this.#sources.set(name, source);
    }
    return source;
  }
}

function isOfRedis(error: CacheInvalidationError): boolean {
  return (
    error instanceof InvalidationRedisError ||
    error instanceof InvalidationTimeoutError
  );
}

/** The stack of an error in the application's own code; a socket's is of no use. */
function stackOf(error: CacheInvalidationError): string | undefined {
  return error instanceof CallbackFailedError && error.cause instanceof Error
    ? printableStack(error.cause)
    : undefined;
}
