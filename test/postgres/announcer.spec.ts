import { describe, expect, it, onTestFinished } from 'vitest';
import {
  entity,
  everything,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { decodeMessage, Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import type { Announcement } from '../../lib/postgres/wal/announcements.js';
import { Announcer } from '../../lib/postgres/wal/announcer.js';
import {
  formatPlace,
  parsePlace,
} from '../../lib/postgres/wal/source-place.js';
import { SourceOutlet } from '../../lib/publisher/index.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
  RelayState,
} from '../../lib/transport/index.js';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { publisherParts, ROOMY } from '../support/parts.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

const identity = { server: '1', timeline: '1', start: 's', tables: 't' };

/** A record in memory, whose calls a test answers. */
class HandRecord implements RelayRecord {
  place: RelayPlace = {
    offset: formatPlace({ identity, lsn: 1n }),
    restarts: 0,
  };
  readonly calls: {
    messages: readonly ForwardedMessage[];
    answer: () => void;
  }[] = [];
  /** Answers each call at once. */
  obliging = true;
  error: Error | null = null;

  async read(): Promise<RelayState> {
    if (this.error !== null) throw this.error;
    return { place: this.place, foreign: false };
  }

  async forward(
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null> {
    await new Promise<void>((answer) => {
      this.calls.push({ messages, answer });
      if (this.obliging) answer();
    });
    if (this.error !== null) throw this.error;
    const { offset, restarts } = this.place;
    if (from.offset !== offset || from.restarts !== restarts) return null;
    const more = messages.filter(({ kind }) => kind !== 'next').length;
    return (this.place = { offset: to, restarts: restarts + more });
  }

  /** Places at which proofs were recorded. */
  readonly proofs: (string | null)[] = [];

  async prove({ offset, restarts }: RelayPlace): Promise<boolean> {
    if (this.error !== null) throw this.error;
    const { place } = this;
    if (offset !== place.offset || restarts !== place.restarts) return false;
    this.proofs.push(offset);
    return true;
  }

  async proofAge(): Promise<null> {
    return null;
  }

  async hold(): Promise<boolean> {
    return true;
  }

  async release(): Promise<void> {}
}

function setUp() {
  const record = new HandRecord();
  const instance = new Instance('test');
  const transport = new ScriptedTransport();
  const meter = new InvalidationCounters(instance);
  const { encoder, errors, shutdown } = publisherParts(
    ROOMY,
    instance,
    transport,
    meter,
  );
  onTestFinished(() => shutdown.run());
  const outlet = new SourceOutlet(
    { ...ROOMY, journal: {} },
    transport,
    encoder,
    errors,
  );
  const events: string[] = [];
  const announcer = new Announcer('slot', record, record.place, outlet, {
    onRecorded: (lsn) => events.push(`recorded ${lsn}`),
    onOvertaken: () => events.push('overtaken'),
    onFailed: ({ message }) => events.push(message),
    onRoom: () => {},
  });
  onTestFinished(() => announcer.close());
  const push = (
    lsn: number,
    isVisible: boolean,
    invalidation: Invalidation = entity('User', lsn),
  ) => {
    const announcement: Announcement = {
      invalidations: [invalidation],
      size: 1,
      place: { identity, lsn: BigInt(lsn) },
      transaction: `${lsn}`,
      at: { pg: `0/${lsn}` },
      committedAt: BigInt(lsn),
      isVisible,
      isLate: false,
      isSeenBy: () => true,
    };
    announcer.push(announcement);
    return announcement;
  };
  const messages = () =>
    record.calls.flatMap((call) =>
      call.messages.map(({ payload }) => decodeMessage(payload, Infinity)),
    );
  return {
    record,
    announcer,
    events,
    push,
    messages,
    said: () => messages().map(said),
    lsn: () => parsePlace(record.place.offset)?.lsn,
  };
}

describe('Announcer', () => {
  it('moves the record with each announcement, one call at a time', async () => {
    const { record, announcer, push, said: sent, lsn, events } = setUp();
    record.obliging = false;
    push(2, true);
    push(3, true);
    push(4, true);
    expect(record.calls).toHaveLength(1);
    record.obliging = true;
    record.calls[0]!.answer();
    await announcer.whenIdle();
    expect(record.calls).toHaveLength(2);
    expect(sent()).toEqual(['User:2', 'User:3', 'User:4']);
    expect(lsn()).toBe(4n);
    expect(events).toEqual(['recorded 2', 'recorded 4']);
    expect(record.place.restarts).toBe(0);
  });

  it('lets visible ones pass, and changes the record for each such call', async () => {
    const { record, announcer, push, said: sent, lsn, events } = setUp();
    const first = push(2, false);
    push(3, true);
    await eventually(() => expect(record.place.restarts).toBe(1));
    push(4, true);
    await eventually(() => expect(record.place.restarts).toBe(2));
    expect(lsn()).toBe(1n);
    expect(sent()).toEqual(['User:3', 'User:4']);
    first.isVisible = true;
    announcer.send();
    await announcer.whenIdle();
    expect(sent()).toEqual(['User:3', 'User:4', 'User:2']);
    expect(lsn()).toBe(4n);
    expect(events).toEqual(['recorded 4']);
  });

  it('keeps one place for any number of those that have passed', async () => {
    const { record, announcer, push, lsn } = setUp();
    const first = push(2, false);
    for (let from = 500; from < 5_000; from += 500) {
      for (let at = from; at < from + 500; at++) push(at, true);
      await eventually(() => expect(record.place.restarts).toBe(from));
      expect(announcer.isFull).toBe(false);
    }
    first.isVisible = true;
    announcer.send();
    await announcer.whenIdle();
    expect(lsn()).toBe(4_999n);
  });

  it('announces a late one early, with an id of its own, and again in its turn', async () => {
    const { record, announcer, push, said: sent, messages, lsn } = setUp();
    const late = push(2, false);
    late.isLate = true;
    announcer.send();
    await eventually(() => expect(record.place.restarts).toBe(1));
    announcer.send();
    expect(lsn()).toBe(1n);
    late.isVisible = true;
    announcer.send();
    await announcer.whenIdle();
    expect(sent()).toEqual(['User:2', 'User:2']);
    const [one, two] = messages();
    expect(one?.messageId).not.toBe(two?.messageId);
    expect(lsn()).toBe(2n);
  });

  it('gives a transaction that is sent again the same id', async () => {
    const ids = [];
    for (let times = 2; times > 0; times--) {
      const { announcer, push, messages } = setUp();
      push(2, true);
      await announcer.whenIdle();
      ids.push(messages()[0]?.messageId);
    }
    expect(ids[0]).toMatch(
      /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/,
    );
    expect(ids[1]).toBe(ids[0]);
  });

  it('becomes the type where an entity is too large for a message', async () => {
    const { announcer, push, said: sent } = setUp();
    push(2, true, entity('User', 'x'.repeat(2_000)));
    push(3, true, everything());
    await announcer.whenIdle();
    expect(sent()).toEqual(['user:*', '*']);
  });

  it('stops when the record was moved, or Redis refuses', async () => {
    const one = setUp();
    one.record.place = { ...one.record.place, restarts: 7 };
    one.push(2, true);
    await eventually(() => expect(one.events).toEqual(['overtaken']));
    const two = setUp();
    two.record.error = new Error('no memory');
    two.push(2, true);
    await eventually(() => expect(two.events).toEqual(['no memory']));
  });

  it('sees that the record was moved without a call of its own', async () => {
    const { record, announcer, events } = setUp();
    await announcer.check();
    expect(events).toEqual([]);
    record.place = { offset: null, restarts: 0 };
    await announcer.check();
    expect(events).toEqual(['overtaken']);
    record.error = new Error('away');
    await announcer.check();
    expect(events).toEqual(['overtaken', 'away']);
  });

  it('proves what was announced once everything before is recorded', async () => {
    const { record, announcer, push } = setUp();
    announcer.prove(performance.now());
    await announcer.whenIdle();
    const at = (lsn: bigint) => formatPlace({ identity, lsn });
    expect(record.proofs).toEqual([at(1n)]);
    const first = push(2, false);
    push(3, true);
    announcer.prove(performance.now());
    await eventually(() => expect(record.place.restarts).toBe(1));
    push(4, true);
    await eventually(() => expect(record.place.restarts).toBe(2));
    expect(record.proofs).toHaveLength(1);
    first.isVisible = true;
    announcer.send();
    await announcer.whenIdle();
    expect(record.proofs).toEqual([at(1n), at(4n)]);
  });

  it('sees by a proof that the record was moved, and need not look then', async () => {
    const { record, announcer, events } = setUp();
    announcer.prove(performance.now());
    await announcer.whenIdle();
    record.error = new Error('away');
    // The proof has compared it.
    await announcer.check();
    expect(events).toEqual([]);
    await announcer.check();
    expect(events).toEqual(['away']);
    record.error = null;
    record.place = { offset: null, restarts: 0 };
    announcer.prove(performance.now());
    await eventually(() => expect(events).toEqual(['away', 'overtaken']));
    expect(record.proofs).toHaveLength(1);
  });

  it('knows since when the oldest one waits', async () => {
    const { announcer, push } = setUp();
    expect(announcer.oldestCommit).toBeNull();
    const first = push(2, false);
    push(3, true);
    expect(announcer.oldestCommit).toBe(2n);
    first.isVisible = true;
    announcer.send();
    await announcer.whenIdle();
    expect(announcer.oldestCommit).toBeNull();
  });
});
