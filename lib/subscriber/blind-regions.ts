import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { ErrorReporter } from '../stream/index.js';
import { usualStaleness, type HeartbeatOptions } from './heartbeat.js';
import { Staleness } from './staleness.js';

/**
 * Sources for which it has not been proven for long that everything arrives here. A
 * line in the log says when one becomes blind, and another one when it is heard again.
 *
 * @internal
 */
@Injectable()
export class BlindRegions {
  /** When blind sources were last proven, or the start, by `performance.now()`. */
  readonly #since = new Map<string, number>();

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: HeartbeatOptions,
    private readonly staleness: Staleness,
    private readonly errors: ErrorReporter,
  ) {}

  /** The blind sources, for people; `null` if there are none. */
  get reason(): string | null {
    const blind = this.staleness.ages
      .filter(([source]) => this.#isBlind(source))
      .map(([source, age]) => `blind to ${source} ${howLong(age)}`);
    return blind.length === 0 ? null : blind.join(', ');
  }

  /** Logs what has changed since the last check. */
  check(): void {
    for (const [source, age] of this.staleness.ages) {
      const since = this.#since.get(source);
      const isBlind = this.#isBlind(source);
      if (isBlind && since === undefined) this.#lost(source, age);
      else if (!isBlind && since !== undefined) this.#heard(source, since);
    }
  }

  #isBlind(source: string): boolean {
    return this.staleness.unproven(source) > usualStaleness(this.options);
  }

  #lost(source: string, age: number): void {
    const unproven = this.staleness.unproven(source);
    this.#since.set(source, performance.now() - unproven);
    this.errors.log(
      'warn',
      `Blind to region ${source} ${howLong(age)}: copies of its data may be stale here.`,
      `blind ${source}`,
    );
  }

  #heard(source: string, since: number): void {
    this.#since.delete(source);
    this.errors.log(
      'log',
      `Region ${source} is heard again, after ${seconds(performance.now() - since)}.`,
      `heard ${source}`,
    );
  }
}

function howLong(age: number): string {
  return age === Infinity ? 'since the start' : `for ${seconds(age)}`;
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
