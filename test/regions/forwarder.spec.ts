import { describe, expect, it } from 'vitest';
import { entity, Instance } from '../../lib/message/index.js';
import { Forwarder } from '../../lib/regions/forwarder.js';
import { NOWHERE } from '../../lib/regions/relay-outlet.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
} from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';

const instance = new Instance('test', 'us');

/** A record whose answers the test decides. */
class Scripted implements RelayRecord {
  readonly calls: string[] = [];
  answer: () => Promise<boolean> = async () => true;

  async forward(
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null> {
    const ids = messages.map(({ payload }) => payload).join();
    this.calls.push(`${from.offset} to ${to}: ${ids}`);
    if (!(await this.answer())) return null;
    return { offset: to, restarts: from.restarts };
  }

  async prove({ offset }: RelayPlace): Promise<boolean> {
    this.calls.push(`proof of ${offset}`);
    return this.answer();
  }

  async read() {
    return { place: NOWHERE, foreign: false };
  }
  async proofAge() {
    return null;
  }
  async hold() {
    return true;
  }
  async release(): Promise<void> {}
}

function setUp(limit = 1_000_000) {
  const record = new Scripted();
  const failures: (string | null)[] = [];
  const forwarder = new Forwarder(
    record,
    ({ entityId }) => entityId ?? '*',
    {
      onForwarded: () => undefined,
      onFailed: (error) => failures.push(error?.message ?? null),
    },
    limit,
  );
  const push = (id: number) =>
    forwarder.push({
      message: instance.stamp(entity('User', id)),
      kind: 'next',
      offset: `${id}-0`,
    });
  forwarder.begin({ offset: '0-1', restarts: 0 });
  return { record, forwarder, push, failures };
}

describe('Forwarder', () => {
  it('sends what has come meanwhile in one call, in order', async () => {
    const { record, push } = setUp();
    push(1);
    push(2);
    await eventually(() => expect(record.calls).toEqual(['0-1 to 2-0: 1,2']));
    push(3);
    await eventually(() =>
      expect(record.calls.slice(1)).toEqual(['2-0 to 3-0: 3']),
    );
  });

  it('proves only what was forwarded before, skipped messages included', async () => {
    const { record, forwarder, push } = setUp();
    push(1);
    forwarder.skip('2-0');
    forwarder.prove(performance.now());
    push(3);
    await eventually(() =>
      expect(record.calls).toEqual([
        '0-1 to 2-0: 1',
        'proof of 2-0',
        '2-0 to 3-0: 3',
      ]),
    );
  });

  it('sends nothing for skipped messages alone', async () => {
    const { record, forwarder, push } = setUp();
    forwarder.skip('1-0');
    forwarder.skip('2-0');
    push(3);
    await eventually(() => expect(record.calls).toEqual(['0-1 to 3-0: 3']));
  });

  it('drops its queue when the record is elsewhere, and when Redis fails', async () => {
    const { record, forwarder, push, failures } = setUp();
    record.answer = async () => false;
    push(1);
    push(2);
    await eventually(() => expect(failures).toEqual([null]));
    forwarder.begin({ offset: '5-0', restarts: 1 });
    record.answer = async () => {
      throw new Error('OOM');
    };
    push(6);
    await eventually(() => expect(failures).toEqual([null, 'OOM']));
    record.answer = async () => true;
    forwarder.begin({ offset: '5-0', restarts: 1 });
    push(6);
    await eventually(() => expect(record.calls.at(-1)).toBe('5-0 to 6-0: 6'));
  });

  it('ignores the answer to a call of an earlier beginning', async () => {
    const { record, forwarder, push, failures } = setUp();
    let settle = (_done: boolean): void => undefined;
    record.answer = () => new Promise((resolve) => (settle = resolve));
    push(1);
    await eventually(() => expect(record.calls).toHaveLength(1));
    const first = settle;
    forwarder.begin({ offset: '9-0', restarts: 2 });
    first(false);
    record.answer = async () => true;
    push(10);
    await eventually(() =>
      expect(record.calls.slice(1)).toEqual(['9-0 to 10-0: 10']),
    );
    expect(failures).toEqual([]);
  });

  it('has room for a bounded size, and says when there is room again', async () => {
    const { record, forwarder, push } = setUp(1_000);
    let settle = (_done: boolean): void => undefined;
    record.answer = () => new Promise((resolve) => (settle = resolve));
    let taken = 0;
    while (push(taken + 1)) taken++;
    expect(taken).toBeLessThan(10);
    let isRoomy = false;
    void forwarder.room().then(() => (isRoomy = true));
    await eventually(() => expect(record.calls).toHaveLength(1));
    expect(isRoomy).toBe(false);
    settle(true);
    await eventually(() => expect(isRoomy).toBe(true));
  });
});
