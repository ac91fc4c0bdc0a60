import { Injectable, Logger } from '@nestjs/common';
import { Subject, type Observable } from 'rxjs';
import {
  HandlerFailedError,
  printableStack,
  type CacheInvalidationError,
} from '../errors/index.js';

const QUIET_PERIOD_MS = 1_000;
const MAX_SOURCES = 1_000;

interface Source {
  quietUntil: number;
  heldBack: number;
}

/**
 * Takes errors that have no caller to be thrown at, and other lines for the log.
 * Each error is emitted on `errors$`. Each source is logged at most once a second,
 * with the number of lines that were held back, so that garbage on a channel
 * cannot fill a disk.
 *
 * @internal
 */
@Injectable()
export class ErrorReporter {
  readonly #logger = new Logger('CacheInvalidation');
  readonly #errors = new Subject<CacheInvalidationError>();
  readonly #sources = new Map<string, Source>();

  readonly errors$: Observable<CacheInvalidationError> =
    this.#errors.asObservable();

  /** `source` is what is throttled as one: a class and method, or a code. */
  report(error: CacheInvalidationError, source: string = error.code): void {
    this.#log('error', error.message, source, stackOf(error));
    this.#errors.next(error);
  }

  /** Logs a line that is no error. */
  say(level: 'log' | 'warn', text: string, source: string): void {
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
  ): void {
    const now = Date.now();
    const source = this.#source(name);
    // A clock that was set back must not silence a source for longer.
    if (now < source.quietUntil && source.quietUntil - now <= QUIET_PERIOD_MS) {
      source.heldBack++;
      return;
    }
    const more =
      source.heldBack === 0 ? '' : ` (and ${source.heldBack} more like it)`;
    try {
      if (level === 'error') this.#logger.error(text + more, stack);
      else this.#logger[level](text + more);
    } catch {
      // Not into a socket's callback, nor into a call that has succeeded.
    }
    source.quietUntil = now + QUIET_PERIOD_MS;
    source.heldBack = 0;
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

/** Only of the application's own code: that of a socket says nothing. */
function stackOf(error: CacheInvalidationError): string | undefined {
  return error instanceof HandlerFailedError && error.cause instanceof Error
    ? printableStack(error.cause)
    : undefined;
}
