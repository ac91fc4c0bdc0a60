import type { LoggerService } from '@nestjs/common';

export interface LogLine {
  readonly level: string;
  readonly message: string;
  /**
   * Arguments that Nest passes after the message: the stack of an error, the
   * context.
   */
  readonly rest: readonly unknown[];
}

/** Collects the log lines of an application. */
export class CapturingLogger implements LoggerService {
  readonly lines: LogLine[] = [];

  log(message: unknown, ...rest: unknown[]): void {
    this.#add('log', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.#add('warn', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.#add('error', message, rest);
  }

  /** The messages of one level that this library logged, in order. */
  of(level: 'log' | 'warn' | 'error'): string[] {
    return this.lines
      .filter(
        (line) =>
          line.level === level && line.rest.at(-1) === 'CacheInvalidation',
      )
      .map(({ message }) => message);
  }

  #add(level: string, message: unknown, rest: unknown[]): void {
    this.lines.push({ level, message: String(message), rest });
  }
}
