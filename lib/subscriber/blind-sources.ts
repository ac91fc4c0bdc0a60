import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { ErrorReporter } from '../stream/index.js';
import { HeartbeatPace } from './heartbeat-pace.js';
import { usualStaleness, type HeartbeatOptions } from './heartbeat.js';
import { Staleness } from './staleness.js';

/**
 * Sources for which it has not been proven for long that everything arrives here. A
 * line in the log says when one becomes blind, and another one when it is heard again.
 *
 * @internal
 */
@Injectable()
export class BlindSources {
  /** When blind sources were last proven, or the start, by `performance.now()`. */
  readonly #since = new Map<string, number>();

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: HeartbeatOptions,
    private readonly staleness: Staleness,
    private readonly errors: ErrorReporter,
    private readonly pace: HeartbeatPace,
  ) {}

  /** The blind sources, for people; `null` if there are none. */
  get reason(): string | null {
    const blind = this.staleness.sources
      .filter((source) => this.#isBlind(source))
      .map((source) => `blind to ${source} ${this.#howLong(source)}`);
    return blind.length === 0 ? null : blind.join(', ');
  }

  /** Logs what has changed since the last check. */
  check(): void {
    for (const source of this.staleness.sources) {
      const since = this.#since.get(source);
      const isBlind = this.#isBlind(source);
      if (isBlind && since === undefined) this.#lost(source);
      else if (!isBlind && since !== undefined) this.#heard(source, since);
      this.#checkPeriod(source);
    }
  }

  /**
   * Logs a source that is proven too rarely for a cache's bound: the cache would load on a
   * healthy connection. Relays prove a region at their heartbeats.
   */
  #checkPeriod(source: string): void {
    const { cache, maxStaleness } = this.pace.strictest ?? {};
    const isRegion = this.staleness.isRegion(source);
    const period = isRegion
      ? this.options.heartbeatInterval
      : this.staleness.periodOf(source);
    if (maxStaleness === undefined || 2 * period <= maxStaleness) return;
    this.errors.log(
      'warn',
      `${cache} has a maxStaleness of ${maxStaleness} ms, but ${source} is proven only every ${period} ms: its reads will often not be answered from the cache. Give ${isRegion ? 'all services of the region a heartbeatInterval' : 'the source a heartbeat'} of half of maxStaleness at most.`,
      `slow ${source}`,
    );
  }

  #isBlind(source: string): boolean {
    const { staleness } = this;
    const usual = usualStaleness(this.options) + 2 * staleness.periodOf(source);
    return staleness.unproven(source) > usual;
  }

  #lost(source: string): void {
    const unproven = this.staleness.unproven(source);
    this.#since.set(source, performance.now() - unproven);
    this.errors.log(
      'warn',
      `Blind to ${this.staleness.isRegion(source) ? 'region ' : ''}${source} ${this.#howLong(source)}: copies of its data may be stale here.`,
      `blind ${source}`,
    );
  }

  #howLong(source: string): string {
    const age = this.staleness.ageOf(source) ?? Infinity;
    return age === Infinity ? 'since the start' : `for ${seconds(age)}`;
  }

  #heard(source: string, since: number): void {
    this.#since.delete(source);
    this.errors.log(
      'log',
      `${this.staleness.isRegion(source) ? 'Region ' : ''}${source} is heard again, after ${seconds(performance.now() - since)}.`,
      `heard ${source}`,
    );
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
