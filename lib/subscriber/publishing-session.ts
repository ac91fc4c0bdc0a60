import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { compareOffsets } from '../message/index.js';
import {
  OutboxRelay,
  PublishPipeline,
  PublishQueue,
} from '../publisher/index.js';
import { ErrorReporter, InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { AcknowledgedMessages } from './acknowledged-messages.js';
import { ConnectionProbe } from './connection-probe.js';
import type { HeartbeatOptions } from './heartbeat.js';
import { MessageReceiver } from './message-receiver.js';
import { missingRights, type RightsOptions } from './missing-rights.js';
import { lossOf, RedisReports } from './redis-reports.js';
import { SelfIntroduction } from './self-introduction.js';
import { StartGate } from './start-gate.js';
import { Staleness } from './staleness.js';
import { StatusLog } from './status-log.js';

/** @internal */
export interface PublishingOptions extends HeartbeatOptions, RightsOptions {
  readonly enabled: boolean;
  /** How long the start of the application waits for Redis, in milliseconds. */
  readonly startupTimeout: number;
}

/**
 * Owns the transport of an application that only publishes, in the place of
 * `SubscriptionSession`: there is no subscription to catch up for. Its heartbeat
 * proves that Redis answers and has taken all messages, and looks for those that a
 * failover may have lost.
 *
 * @internal
 */
@Injectable()
export class PublishingSession {
  readonly #gate: StartGate;
  readonly #redis: RedisReports;
  readonly #probe: ConnectionProbe;
  #timer: NodeJS.Timeout | null = null;
  #checking = false;
  /** Whether something has happened since the check under way began. */
  #again = false;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: PublishingOptions,
    private readonly transport: InvalidationTransport,
    private readonly queue: PublishQueue,
    private readonly pipeline: PublishPipeline,
    private readonly relay: OutboxRelay,
    receiver: MessageReceiver,
    private readonly staleness: Staleness,
    private readonly status: StatusLog,
    private readonly introduction: SelfIntroduction,
    private readonly stream: InvalidationStream,
    private readonly errors: ErrorReporter,
    private readonly acknowledged: AcknowledgedMessages,
  ) {
    this.#gate = new StartGate(staleness);
    this.#redis = new RedisReports(status, errors);
    this.#probe = new ConnectionProbe(options, transport, receiver, errors);
  }

  /**
   * Connects; waits for Redis, but never longer than `startupTimeout`.
   *
   * @throws InvalidationConfigurationError if Redis withholds a right
   */
  async start(): Promise<void> {
    const { enabled, startupTimeout, heartbeatInterval } = this.options;
    if (!enabled) return this.status.disabled();
    this.status.connecting();
    this.introduction.renew();
    const live = this.#gate.wait(startupTimeout, () => {
      this.status.away(performance.now() - startupTimeout);
      this.status.startsWithout(startupTimeout);
    });
    this.transport.start(
      {
        onMessage: () => undefined,
        onUnverified: () => undefined,
        onSubscribed: () => undefined,
        onLost: (cause) => this.#lost(cause),
        onWritable: () => this.#writable(),
        onError: (cause) => this.#redis.failed(cause),
      },
      false,
    );
    this.#timer = setInterval(() => this.#check(), heartbeatInterval).unref();
    await live;
    const error = await missingRights(this.transport, this.options);
    if (error === null) return;
    this.relay.close();
    await this.stop();
    throw error;
  }

  async stop(): Promise<void> {
    this.#gate.release();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#cancel();
    this.staleness.stop();
    await this.transport.close();
    this.stream.complete();
    this.errors.complete();
    this.status.shutDown();
  }

  #writable(): void {
    this.#doubt();
    this.queue.resume();
    this.#redis.answers();
    this.status.live(null);
    this.#gate.open();
    this.#check();
  }

  /** In a cluster other nodes may be there, and take what is published next. */
  #lost(cause: Error | null): void {
    this.#doubt();
    if (this.transport.writable) this.#check();
    else if (this.status.current.state === 'live') {
      this.status.disconnected(lossOf(cause));
    }
  }

  /** The next answer may come from a server that has lost what this one had taken. */
  #doubt(): void {
    this.acknowledged.doubt();
    this.#cancel();
  }

  #cancel(): void {
    this.#probe.cancel();
    this.acknowledged.cancel();
  }

  /** One check at a time; another one follows if it was asked for meanwhile. */
  #check(): void {
    this.#again = true;
    if (!this.#checking) void this.#checkAll();
  }

  async #checkAll(): Promise<void> {
    this.#checking = true;
    while (this.#again && this.#timer !== null) {
      this.#again = false;
      await this.#checkOnce();
      void this.relay.sweep();
    }
    this.#checking = false;
  }

  async #checkOnce(): Promise<void> {
    const asOf = performance.now();
    const { mark, lastOffset } = this.queue;
    const tail = await this.#probe.tail();
    if (tail === null || this.#timer === null) return;
    this.#redis.answers();
    this.introduction.renew();
    if (this.queue.hasTaken(mark)) this.staleness.proven(asOf);
    const hasLostEnd =
      lastOffset !== null && compareOffsets(tail, lastOffset) < 0;
    if (hasLostEnd) this.acknowledged.journalBroke();
    try {
      const lost = await this.acknowledged.confirm(lastOffset, null);
      // Rejects only at the shutdown: then the other instances are left to do it.
      if (lost) this.pipeline.publishEverything().catch(() => undefined);
    } catch {
      // The next check confirms them.
    }
  }
}
