import { onTestFinished } from 'vitest';
import type { InvalidationRole } from '../../lib/common/index.js';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import {
  decodeMessage,
  Instance,
  type IdForms,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import {
  BegunWork,
  Coalescer,
  InvalidationPublisher,
  MessageEncoder,
  OffsetScope,
  OutboxDrain,
  OutboxReports,
  OutboxRelay,
  PublisherShutdown,
  PublishPipeline,
  PublishQueue,
  StoredRows,
  type CascadeRules,
  type DurableOutbox,
} from '../../lib/publisher/index.js';
import type { RegionsOptions } from '../../lib/regions/index.js';
import {
  ErrorReporter,
  InvalidationStream,
  OwnMessages,
  type InvalidationMeter,
} from '../../lib/stream/index.js';
import {
  AcknowledgedMessages,
  BlindSources,
  HeartbeatPace,
  InvalidationSubscriber,
  MessageReceiver,
  PositionTracker,
  SourceProofs,
  RegionReach,
  SelfIntroduction,
  Staleness,
  StatusLog,
  SubscriptionSession,
  UnverifiedMessages,
  type StalePolicy,
} from '../../lib/subscriber/index.js';
import type { InvalidationTransport } from '../../lib/transport/index.js';
import { ScriptedTransport } from './scripted.transport.js';

export interface PublisherOptions {
  readonly role?: InvalidationRole;
  readonly enabled: boolean;
  readonly publishTimeout: number;
  readonly shutdownTimeout: number;
  readonly outboxLimit: number;
  readonly handlerQueueLimit: number;
  readonly queueByteLimit: number;
  readonly maxBatchSize: number;
  readonly maxMessageBytes: number;
  readonly coalesce: boolean;
  readonly cascade?: CascadeRules | undefined;
  readonly durableOutbox?: DurableOutbox | undefined;
  readonly normalizeIds?: IdForms | undefined;
}

/** Options whose bounds no test meets by accident. */
export const ROOMY: PublisherOptions = {
  enabled: true,
  publishTimeout: 10_000,
  shutdownTimeout: 10_000,
  outboxLimit: 10_000,
  handlerQueueLimit: 1_000,
  queueByteLimit: Infinity,
  maxBatchSize: 10,
  maxMessageBytes: 1_024,
  coalesce: false,
};

/** The parts of a publisher, put together by hand as the module does. */
export function publisherParts(
  options: PublisherOptions,
  instance: Instance,
  transport: InvalidationTransport,
  meter: InvalidationMeter,
) {
  const errors = new ErrorReporter();
  const stream = new InvalidationStream(options, meter, errors);
  const own = new OwnMessages();
  const work = new BegunWork();
  const offsets = new OffsetScope();
  const encoder = new MessageEncoder(options, instance, stream, meter, errors);
  const rows = new StoredRows(options, errors);
  const drain = new OutboxDrain(
    options,
    instance,
    rows,
    transport,
    stream,
    new OutboxReports(options, meter, errors),
  );
  const queue = new PublishQueue(
    options,
    transport,
    own,
    rows,
    drain,
    stream,
    meter,
  );
  const coalescer = new Coalescer(
    options,
    instance,
    encoder,
    queue,
    offsets,
    stream,
  );
  const pipeline = new PublishPipeline(
    options,
    instance,
    encoder,
    coalescer,
    queue,
    offsets,
    stream,
    meter,
    errors,
  );
  const relay = new OutboxRelay(
    options,
    instance,
    transport,
    encoder,
    queue,
    pipeline,
    rows,
    stream,
    errors,
  );
  const shutdown = new PublisherShutdown(
    options,
    work,
    pipeline,
    queue,
    relay,
    errors,
  );
  const publisher = new InvalidationPublisher(pipeline, encoder, relay, queue);
  return {
    errors,
    stream,
    own,
    offsets,
    encoder,
    rows,
    queue,
    pipeline,
    relay,
    shutdown,
    publisher,
  };
}

export interface InstanceOptions extends PublisherOptions {
  readonly channel: string;
  readonly connection: string;
  readonly sharded: boolean;
  readonly startupTimeout: number;
  readonly heartbeatInterval: number;
  readonly heartbeatTimeout: number;
  readonly maxStaleness: number;
  readonly whenStale: StalePolicy;
  readonly regions?: RegionsOptions | undefined;
}

/** The parts of an instance, put together by hand as the module does. */
export function instanceParts(
  options: InstanceOptions,
  instance: Instance,
  transport: InvalidationTransport,
  meter: InvalidationMeter,
) {
  const parts = publisherParts(options, instance, transport, meter);
  const { stream, errors, own, queue, pipeline, relay } = parts;
  const acknowledged = new AcknowledgedMessages(
    options,
    transport,
    queue,
    errors,
  );
  const receiver = new MessageReceiver(
    options,
    instance,
    transport,
    own,
    acknowledged,
    stream,
    meter,
    errors,
  );
  const staleness = new Staleness(options);
  const status = new StatusLog(options);
  const pace = new HeartbeatPace(options);
  const tracker = new PositionTracker(
    options,
    receiver,
    queue,
    transport,
    stream,
    staleness,
    status,
    pace,
  );
  const blind = new BlindSources(options, staleness, errors, pace);
  const proofs = new SourceProofs(options, transport, staleness, blind);
  const reach = new RegionReach(options, transport, tracker);
  const session = new SubscriptionSession(
    options,
    transport,
    queue,
    pipeline,
    relay,
    receiver,
    tracker,
    staleness,
    status,
    new SelfIntroduction(instance, stream, transport),
    stream,
    meter,
    new UnverifiedMessages(transport, receiver, meter, errors),
    proofs,
    reach,
    errors,
    acknowledged,
    pace,
  );
  const subscriber = new InvalidationSubscriber(
    options,
    transport,
    receiver,
    tracker,
    reach,
    staleness,
    stream,
    status,
    errors,
  );
  return {
    ...parts,
    acknowledged,
    receiver,
    staleness,
    status,
    tracker,
    blind,
    proofs,
    session,
    subscriber,
  };
}

/** A publisher on a transport that a test scripts, ended with the test. */
export function makePublisher(given: Partial<PublisherOptions> = {}) {
  const transport = new ScriptedTransport();
  transport.obliging = true;
  const instance = new Instance('test-service');
  const meter = new InvalidationCounters(instance);
  const options = { ...ROOMY, ...given };
  const parts = publisherParts(options, instance, transport, meter);
  const errors: CacheInvalidationError[] = [];
  parts.errors.errors$.subscribe((error) => errors.push(error));
  const delivered: InvalidationMessage[] = [];
  parts.stream.messages$.subscribe((message) => delivered.push(message));
  /**
   * Redis is available again: waiting messages are sent, and the durable outbox
   * is swept.
   */
  const resume = (): void => {
    parts.queue.resume();
    void parts.relay.sweep();
  };
  const finish = async (): Promise<void> => {
    transport.obliging = true;
    transport.writable = true;
    for (const call of transport.calls) call.succeed();
    resume();
    await parts.shutdown.run();
  };
  onTestFinished(finish);
  /** Messages that were passed to the transport. */
  const sent = (): InvalidationMessage[] =>
    transport.sent.flat().map((payload) => decodeMessage(payload, Infinity));
  return {
    ...parts,
    transport,
    instance,
    meter,
    errors,
    delivered,
    resume,
    finish,
    sent,
  };
}
