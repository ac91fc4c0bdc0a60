import { describe, expect, it } from 'vitest';
import { CallLog } from '../../lib/publisher/call-log.js';
import { FailedCalls } from '../../lib/publisher/failed-calls.js';
import { entity, Instance } from '../../lib/message/index.js';
import type { Unsent } from '../../lib/publisher/outbox.js';

describe('CallLog', () => {
  it('numbers the calls, and counts the messages of those in flight', () => {
    const calls = new CallLog();
    expect([calls.begun, calls.messagesInFlight]).toEqual([0, 0]);
    expect([calls.begin(3), calls.begin(5)]).toEqual([0, 1]);
    expect([calls.begun, calls.messagesInFlight]).toEqual([2, 8]);
    calls.end(0, 3);
    expect([calls.begun, calls.messagesInFlight]).toEqual([2, 5]);
  });

  it('hasAnswered() is true once no call before the number is in flight', () => {
    const calls = new CallLog();
    expect(calls.hasAnswered(0)).toBe(true);
    expect(calls.hasAnswered(1)).toBe(false);
    for (let call = 0; call < 3; call++) calls.begin(1);
    calls.end(1, 1);
    expect(calls.hasAnswered(0)).toBe(true);
    expect(calls.hasAnswered(1)).toBe(false);
    calls.end(0, 1);
    expect(calls.hasAnswered(2)).toBe(true);
    expect(calls.hasAnswered(3)).toBe(false);
    calls.end(2, 1);
    expect(calls.hasAnswered(3)).toBe(true);
    expect(calls.hasAnswered(4)).toBe(false);
  });

  it('remembers the offset of the last message that Redis has taken', () => {
    const calls = new CallLog();
    expect(calls.lastOffset).toBeNull();
    calls.took({ offset: '5-0', receivers: 1 });
    expect(calls.lastOffset).toBe('5-0');
    calls.took({ offset: '7-0', receivers: 0 });
    expect(calls.lastOffset).toBe('7-0');
    calls.took({ offset: null, receivers: 1 });
    expect(calls.lastOffset).toBe('7-0');
  });

  it('takes over an earlier offset of a server whose clock is behind', () => {
    const calls = new CallLog();
    calls.took({ offset: '7-0', receivers: 1 });
    calls.took({ offset: '6-0', receivers: 0 });
    expect(calls.lastOffset).toBe('6-0');
  });

  it('leaves out the earlier offset of a message that is in the journal already', () => {
    const calls = new CallLog();
    calls.took({ offset: '3-0', receivers: null });
    expect(calls.lastOffset).toBe('3-0');
    calls.took({ offset: '2-0', receivers: null });
    expect(calls.lastOffset).toBe('3-0');
    calls.took({ offset: '4-0', receivers: null });
    expect(calls.lastOffset).toBe('4-0');
  });
});

describe('FailedCalls', () => {
  const unsent = (id: string): Unsent => ({
    message: new Instance('test').stamp(entity('User', id)),
    triedSince: '-',
  });
  const idsOf = (some: readonly Unsent[]) =>
    some.map(({ message }) => message.entityId);

  it('gives the messages in the order of their calls, once', () => {
    const failed = new FailedCalls();
    failed.add(2, [unsent('e')]);
    failed.add(0, [unsent('a'), unsent('b')]);
    failed.add(1, [unsent('c'), unsent('d')]);
    expect(failed.messages).toBe(5);

    expect(idsOf(failed.takeInOrder())).toEqual(['a', 'b', 'c', 'd', 'e']);

    expect(failed.messages).toBe(0);
    expect(failed.takeInOrder()).toEqual([]);
  });
});
