import { Injectable } from '@nestjs/common';
import { Instance } from '../message/index.js';
import { SourceProofs, Staleness } from '../subscriber/index.js';
import type { RelayRecord } from '../transport/index.js';
import { CHANNELS } from './diagnostics-channels.js';

/**
 * The part of this instance in a source.
 *
 * - `off`: none; the module is switched off, or this application only receives
 * - `holder`: it publishes what the source says
 * - `standby`: another instance does
 * - `away`: the source or Redis does not answer, or refuses
 *
 * @publicApi
 */
export type InvalidationSourceState = 'off' | 'holder' | 'standby' | 'away';

/** A source of invalidations, such as PostgreSQL, as this instance sees it. @publicApi */
export interface InvalidationSourceStatus {
  readonly state: InvalidationSourceState;
  /**
   * Milliseconds since this instance last saw that some instance was the holder, or since
   * it started; `null` while it is off.
   */
  readonly holderSeen: number | null;
  /** Bytes of the source's log that are not announced yet; `null` where that is not known. */
  readonly lagBytes: number | null;
  /**
   * Age in milliseconds of the oldest change that is not announced yet, as far as this
   * instance knows; `null` where that is not known.
   */
  readonly lagMs: number | null;
  /** Entries of the source's outbox that wait; `null` where it has none. */
  readonly waiting: number | null;
  /** Bytes of its log that the source keeps for its readers; `null` where that is not known. */
  readonly retainedBytes: number | null;
  /** Bytes that may be added before the source gives up keeping them; `null` for no bound. */
  readonly spareBytes: number | null;
  /** Transactions that this instance has read since its start. */
  readonly transactions: number;
  /** Rows in them. */
  readonly rows: number;
  /** Times that this instance invalidated whole types since its start, by cause. */
  readonly widened: Readonly<Record<string, number>>;
}

/** A source that a module registers. @internal */
export interface InvalidationSource {
  /** Unlike the name of any region. */
  readonly name: string;
  /** Every cause of `widened`. */
  readonly causes: readonly string[];
  /** The record whose proofs say up to when everything is published. */
  readonly record: RelayRecord;
  /** Milliseconds from one proof to the next. */
  readonly period: number;
  status(): InvalidationSourceStatus;
}

/**
 * The sources of this application that are no regions. Modules that the core does not
 * know register theirs here, before the application starts.
 *
 * @internal
 */
@Injectable()
export class InvalidationSources {
  readonly all: InvalidationSource[] = [];

  constructor(
    private readonly instance: Instance,
    private readonly proofs: SourceProofs,
    private readonly staleness: Staleness,
  ) {}

  add(source: InvalidationSource): void {
    this.all.push(source);
    this.proofs.watch(source.name, source.record, source.period);
  }

  /** Milliseconds since all changes of a source were last known to have arrived here. */
  ageOf({ name }: InvalidationSource): number | undefined {
    return this.staleness.ageOf(name);
  }

  stateChanged(
    source: string,
    state: InvalidationSourceState,
    reason: string | null,
  ): void {
    if (!CHANNELS['source-state'].hasSubscribers) return;
    const { serviceName, origin } = this.instance;
    CHANNELS['source-state'].publish({
      serviceName,
      origin,
      source,
      state,
      reason,
    });
  }

  widened(source: string, cause: string): void {
    if (!CHANNELS['source-widened'].hasSubscribers) return;
    const { serviceName, origin } = this.instance;
    CHANNELS['source-widened'].publish({ serviceName, origin, source, cause });
  }
}
