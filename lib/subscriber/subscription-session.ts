import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { Paced } from '../common/index.js';
import {
  OutboxRelay,
  PublishPipeline,
  PublishQueue,
} from '../publisher/index.js';
import {
  ErrorReporter,
  InvalidationMeter,
  InvalidationStream,
} from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { AcknowledgedMessages } from './acknowledged-messages.js';
import { CatchUp, type CatchUpOptions } from './catch-up.js';
import { Heartbeat, type HeartbeatOptions } from './heartbeat.js';
import { HeartbeatPace } from './heartbeat-pace.js';
import { MessageReceiver } from './message-receiver.js';
import { missingRights, type RightsOptions } from './missing-rights.js';
import { PositionTracker } from './position-tracker.js';
import { lossOf, RedisReports } from './redis-reports.js';
import { SourceProofs } from './source-proofs.js';
import { RegionReach } from './region-reach.js';
import { SelfIntroduction } from './self-introduction.js';
import { Staleness, type StalePolicy } from './staleness.js';
import { StartGate } from './start-gate.js';
import { StatusLog } from './status-log.js';
import { UnverifiedMessages } from './unverified-messages.js';

/** @internal */
export interface SessionOptions
  extends CatchUpOptions, HeartbeatOptions, RightsOptions {
  readonly enabled: boolean;
  /** How long the start of the application waits for Redis, in milliseconds. */
  readonly startupTimeout: number;
  readonly maxStaleness: number;
  readonly whenStale: StalePolicy;
}

/**
 * Owns the transport from the start to the end of the application, and decides
 * what a lost, restored or late connection means for both sides: the publisher
 * goes on sending, the receiver catches up, or widens.
 *
 * @internal
 */
@Injectable()
export class SubscriptionSession {
  readonly #catchUp: CatchUp;
  readonly #heartbeat: Heartbeat;
  /** Sweeps of the durable outbox, which a bound of a cache must not quicken. */
  readonly #sweeps: Paced;
  /** Why a widened message is owed for what may have been missed; `null` if none is. */
  #owed: 'reconnected' | 'started-late' | null = null;
  #subscribed = false;
  #wasSubscribed = false;
  #wasWritable = false;
  readonly #gate: StartGate;
  readonly #redis: RedisReports;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: SessionOptions,
    private readonly transport: InvalidationTransport,
    private readonly queue: PublishQueue,
    pipeline: PublishPipeline,
    private readonly relay: OutboxRelay,
    private readonly receiver: MessageReceiver,
    private readonly tracker: PositionTracker,
    private readonly staleness: Staleness,
    private readonly status: StatusLog,
    private readonly introduction: SelfIntroduction,
    private readonly stream: InvalidationStream,
    private readonly meter: InvalidationMeter,
    private readonly unverified: UnverifiedMessages,
    private readonly proofs: SourceProofs,
    private readonly reach: RegionReach,
    private readonly errors: ErrorReporter,
    acknowledged: AcknowledgedMessages,
    pace: HeartbeatPace,
  ) {
    this.#gate = new StartGate(staleness);
    this.#redis = new RedisReports(status, errors);
    this.#catchUp = new CatchUp(
      options,
      transport,
      receiver,
      acknowledged,
      queue,
      errors,
      {
        onBegin: () => status.gapFound(),
        onEnd: (asOf, reason) => this.#caughtUp(asOf, reason),
        onUnverified: (reason) => unverified.record(reason),
        onMoved: () => tracker.moved(false),
        // Rejects only at the shutdown: then it is left to the other instances.
        onLostOwn: () => void pipeline.publishEverything().catch(() => null),
      },
    );
    this.#sweeps = new Paced(
      options.heartbeatInterval,
      () => void relay.sweep(),
    );
    this.#heartbeat = new Heartbeat(pace, transport, receiver, queue, errors, {
      isSubscribed: () => this.#subscribed,
      onCheck: (asOf) => proofs.ask(asOf),
      onProof: (asOf, acked) => this.#proven(asOf, acked),
      onMissing: () => this.#catchUp.run(),
      onBeat: () => this.#sweeps.run(),
    });
    pace.whenStricter(() => this.#heartbeat.pace());
    receiver.listen({
      onGap: () => this.#catchUp.run(),
      onMoved: (live) => tracker.moved(live),
      onWidened: () => tracker.widened(),
      onForeign: () => tracker.foreignReceived(),
    });
  }

  /**
   * Connects; waits for the subscription, but never longer than
   * `startupTimeout`: an application must start without Redis.
   *
   * @throws InvalidationConfigurationError if Redis withholds a right
   */
  async start(): Promise<void> {
    if (!this.options.enabled) return this.status.disabled();
    this.status.connecting();
    this.introduction.renew();
    const live = this.#gate.wait(this.options.startupTimeout, () =>
      this.#startLate(),
    );
    this.transport.start({
      onMessage: (payload) => this.receiver.receive(payload),
      onUnverified: (...message) => this.unverified.received(...message),
      onSubscribed: () => this.#resubscribed(),
      onLost: (cause) => this.#lost(cause),
      onWritable: () => this.#writable(),
      onError: (cause) => this.#redis.failed(cause),
    });
    this.#heartbeat.start();
    this.staleness.start(() => this.#stale());
    await live;
    const error = await missingRights(this.transport, this.options);
    if (error === null) return;
    this.relay.close();
    await this.stop();
    throw error;
  }

  async stop(): Promise<void> {
    this.#gate.release();
    this.#heartbeat.stop();
    this.#sweeps.close();
    this.staleness.stop();
    this.unverified.close();
    this.#catchUp.lost();
    this.tracker.close();
    this.reach.close();
    await this.transport.close();
    this.stream.complete();
    this.errors.complete();
    this.status.shutDown();
  }

  #writable(): void {
    if (this.#wasWritable) this.tracker.reconnected();
    this.#wasWritable = true;
    this.proofs.forget();
    this.reach.forget();
    this.queue.resume();
    void this.relay.sweep();
    this.#catchUp.writable();
    this.#heartbeat.writable();
    this.#started();
  }

  #resubscribed(): void {
    this.#subscribed = true;
    if (this.#wasSubscribed) {
      this.meter.reconnected();
      this.tracker.reconnected();
    }
    this.#wasSubscribed = true;
    if (this.#owed !== null) this.receiver.deliverEverything(this.#owed);
    this.#owed = null;
    if (!this.transport.journaled) {
      return this.#caughtUp(performance.now(), null);
    }
    this.status.subscribed();
    this.proofs.ask(performance.now());
    this.#catchUp.subscribed();
  }

  #lost(cause: Error | null): void {
    this.#subscribed = false;
    // Without a journal of all messages, what was missed is unknown.
    if (this.tracker.foreign || !this.transport.journaled) {
      this.#owed = 'reconnected';
    }
    this.#catchUp.lost();
    this.status.disconnected(lossOf(cause));
  }

  #caughtUp(asOf: number | null, reason: string | null): void {
    if (asOf !== null) {
      this.staleness.proven(asOf);
      this.proofs.confirm(asOf);
    }
    // The status line says for how long Redis was away.
    this.errors.redisAnswers();
    this.status.live(reason);
    this.#started();
  }

  /** This instance had received everything as of then. */
  async #proven(asOf: number, acked: string | null): Promise<void> {
    this.staleness.proven(asOf);
    this.proofs.confirm(asOf);
    this.#redis.answers();
    this.introduction.renew();
    await this.#catchUp.confirmOwn(acked);
  }

  /** Live, and able to publish: the start of the application waits for both. */
  #started(): void {
    if (this.status.current.state !== 'live' || !this.transport.writable) {
      return;
    }
    this.#redis.answers();
    this.#gate.open();
  }

  /** The application starts without Redis. */
  #startLate(): void {
    const { startupTimeout } = this.options;
    this.status.away(performance.now() - startupTimeout);
    if (this.transport.journaled) this.#catchUp.served();
    else if (!this.#subscribed) this.#owed = 'started-late';
    this.status.startsWithout(startupTimeout);
  }

  #stale(): void {
    const { maxStaleness, whenStale } = this.options;
    this.status.stale(maxStaleness, whenStale);
    if (whenStale === 'widen') this.receiver.deliverEverything('stale');
  }
}
