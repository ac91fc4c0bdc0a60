import { Injectable } from '@nestjs/common';
import { Paced } from '../common/index.js';
import { InvalidMessageError } from '../errors/index.js';
import type { UnverifiedReason } from '../signing/index.js';
import { ErrorReporter, InvalidationMeter } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';
import { MessageReceiver } from './message-receiver.js';

/** Pause between two evictions of everything. */
const EVICTION_MS = 10_000;
/** Pause between two reports of one reason. */
const REPORT_MS = 1_000;

type Fault = readonly [what: string, fix: string, field: string | null];

const FAULTS: Record<UnverifiedReason, Fault> = {
  unsigned: [
    'A message has no signature, and was not obeyed.',
    'Let every service on the channel sign (option signing), and accept "all" until they do. If they all sign, find out who else publishes on the channel.',
    'mac',
  ],
  'unknown-key': [
    'A message is signed with a key that is not known here, and was not obeyed.',
    'Add the key to signing.keys of every service before one signs with it.',
    'kid',
  ],
  'bad-mac': [
    'The signature of a message is wrong, and it was not obeyed.',
    'Give all services the same secret under the same id. If they have it, find out who else publishes on the channel.',
    'mac',
  ],
  'bad-seal': [
    'A message claims a place in the journal that Redis did not give it, and was not obeyed.',
    'Find out who repeats messages on the channel, or writes the journal.',
    'seal',
  ],
  oversized: [
    'A message is larger than maxMessageBytes, and was neither verified nor obeyed.',
    'Give all services the same maxMessageBytes.',
    null,
  ],
};

/**
 * Answers messages that could not be verified. They are counted, reported and not
 * obeyed. One that may come from a service with another key could be a real
 * invalidation: everything is evicted in its place, at most once in ten seconds.
 *
 * @internal
 */
@Injectable()
export class UnverifiedMessages {
  readonly #reportedAt = new Map<UnverifiedReason, number>();
  readonly #evictions = new Paced(EVICTION_MS, () =>
    this.receiver.deliverEverything('unverified'),
  );

  constructor(
    private readonly transport: InvalidationTransport,
    private readonly receiver: MessageReceiver,
    private readonly meter: InvalidationMeter,
    private readonly errors: ErrorReporter,
  ) {}

  /** @param placed whether the message claims a place in the journal */
  received(reason: UnverifiedReason, placed: boolean): void {
    this.record(reason);
    // The journal has a real one as well, and there its chain breaks.
    const isForged = reason === 'bad-mac' || reason === 'bad-seal';
    if (!isForged || !placed || !this.transport.journaled)
      this.#evictions.run();
  }

  /** Counts and reports a message. */
  record(reason: UnverifiedReason): void {
    this.meter.unverified(reason);
    const now = performance.now();
    const last = this.#reportedAt.get(reason) ?? -Infinity;
    if (now - last < REPORT_MS) return;
    this.#reportedAt.set(reason, now);
    const [what, fix, field] = FAULTS[reason];
    this.errors.report(
      new InvalidMessageError(what, fix, field),
      `unverified ${reason}`,
    );
  }

  close(): void {
    this.#evictions.close();
  }
}
