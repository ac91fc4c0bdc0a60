import { describe, expect, it, vi } from 'vitest';
import {
  encodeMessage,
  entity,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import {
  AcknowledgedMessages,
  MessageReceiver,
} from '../../lib/subscriber/index.js';
import type { InstanceOptions } from '../support/parts.js';
import { journal, makeInstance, said } from './parts.js';
import { wire } from './setup.js';

function makeReceiver(given: Partial<InstanceOptions> = {}) {
  const made = makeInstance(given);
  const { receiver, transport, instance, own, acknowledged } = made;
  const events: string[] = [];
  receiver.listen({
    onGap: () => events.push('gap'),
    onMoved: (live) => events.push(live ? 'moved live' : 'moved'),
    onWidened: () => events.push('widened'),
    onForeign: () => events.push('foreign'),
  });
  const echoed = vi.spyOn(acknowledged, 'echoed');
  /** An own message that is handed to Redis, as it leaves. */
  const publish = (message = instance.stamp(entity('User', 'own'))) => {
    const deliver = vi.fn<() => void>();
    own.sent(message.messageId, { deliver });
    return { message, deliver, payload: encodeMessage(message, Infinity) };
  };
  const append = (payload: string): string => {
    transport.channel.append(payload);
    return transport.channel.journal.at(-1)!.payload;
  };
  return {
    ...made,
    events,
    publish,
    append,
    echoes: () => echoed.mock.calls.flat(),
  };
}

describe('MessageReceiver: a message of another instance', () => {
  it('is delivered when it is the next one', () => {
    const { receiver, transport, heard, events, meter } = makeReceiver();
    receiver.cursor.begin('0-0');
    receiver.receive(journal(transport, 1));
    receiver.receive(journal(transport, 2));
    expect(heard()).toEqual(['1', '2']);
    expect(events).toEqual(['moved live', 'moved live']);
    expect(receiver.position).toBe('2-0');
    expect(receiver.arrived).toBe(2);
    expect(receiver.replayed).toBe(0);
    expect(meter.totals).toMatchObject({ received: 2, replayed: 0 });
  });

  it('is held when one before it is missing', () => {
    const { receiver, transport, heard, events, meter } = makeReceiver();
    receiver.cursor.begin('0-0');
    journal(transport, 'lost');
    receiver.receive(journal(transport, 2));
    expect(heard()).toEqual([]);
    expect(events).toEqual(['gap', 'moved']);
    expect(receiver.position).toBe('0-0');
    expect(meter.totals).toMatchObject({ received: 1 });
  });

  it('is no gap when it is repeated', () => {
    const { receiver, transport, heard, events } = makeReceiver();
    receiver.cursor.begin('0-0');
    const payload = journal(transport, 1);
    receiver.receive(payload);
    receiver.receive(payload);
    expect(heard()).toEqual(['1']);
    expect(events).toEqual(['moved live', 'moved']);
  });

  it.each([
    ['without an offset', {}],
    ['with one that is none', { offset: 'partition 3', previous: '0-0' }],
  ])('is delivered at once %s, as a foreign one', (_, fields) => {
    const { receiver, heard, events } = makeReceiver();
    receiver.cursor.begin('0-0');
    receiver.cursor.doubt();
    receiver.receive(wire('1', fields));
    expect(heard()).toEqual(['1']);
    expect(events).toEqual(['foreign', 'moved live']);
    expect(receiver.position).toBe('0-0');
  });

  it('is delivered at once without a journal, whatever place it claims', () => {
    const { receiver, transport, heard, events } = makeReceiver();
    receiver.cursor.begin('0-0');
    transport.journaled = false;
    journal(transport, 'lost');
    receiver.receive(journal(transport, 2));
    expect(heard()).toEqual(['2']);
    expect(events).toEqual(['moved live']);
    expect(receiver.position).toBe('0-0');
  });

  it('tells how long it was under way', () => {
    const { receiver, meter } = makeReceiver();
    const propagated = vi.spyOn(meter, 'propagated');
    const timestamp = new Date(Date.now() - 5_000).toISOString();
    receiver.receive(wire('1', { timestamp }));
    const [[latency]] = propagated.mock.calls as [[number]];
    expect(latency).toBeGreaterThanOrEqual(4_990);
    expect(latency).toBeLessThan(60_000);
  });
});

describe('MessageReceiver: bytes that are no message', () => {
  it('are counted, and nothing else', () => {
    const { receiver, heard, events, meter } = makeReceiver();
    receiver.receive('hello');
    expect(receiver.arrived).toBe(1);
    expect(heard()).toEqual([]);
    expect(events).toEqual([]);
    expect(meter.totals).toMatchObject({ malformed: 1, received: 0 });
  });

  it('are too many for a message: everything is evicted', () => {
    const { receiver, heard, events } = makeReceiver();
    receiver.receive(said('x'.repeat(1_024)));
    expect(heard()).toEqual(['not-understood']);
    expect(events).toEqual(['widened']);
  });
});

describe('MessageReceiver: an own message', () => {
  it('moves the position when it comes back, and is delivered locally if it was not', () => {
    const { receiver, publish, append, heard, events, echoes, own } =
      makeReceiver();
    receiver.cursor.begin('0-0');
    const { message, payload, deliver } = publish();
    receiver.receive(append(payload));
    expect(deliver).toHaveBeenCalledTimes(1);
    expect(own.isUnderWay(message.messageId)).toBe(false);
    expect(heard()).toEqual([]);
    expect(events).toEqual(['moved live']);
    expect(echoes()).toEqual(['1-0']);
    expect(receiver.position).toBe('1-0');
    expect(receiver.arrived).toBe(1);
  });

  it.each([
    ['without a place in the journal', (payload: string) => payload],
    [
      'with a place that is none',
      (payload: string) =>
        payload.replace(
          ',"origin"',
          ',"offset":"partition 3","previous":"0-0","origin"',
        ),
    ],
  ])('only ends its way %s', (_, place) => {
    const { receiver, publish, heard, events, echoes, own } = makeReceiver();
    receiver.cursor.begin('0-0');
    const { message, payload, deliver } = publish();
    receiver.receive(place(payload));
    expect(deliver).toHaveBeenCalledTimes(1);
    expect(own.isUnderWay(message.messageId)).toBe(false);
    expect(heard()).toEqual([]);
    expect(events).toEqual([]);
    expect(echoes()).toEqual([]);
    expect(receiver.position).toBe('0-0');
  });

  it('is held when a message before it is missing, and is an echo once it is replayed', () => {
    const made = makeReceiver();
    const { receiver, transport, publish, append, events, echoes } = made;
    receiver.cursor.begin('0-0');
    journal(transport, 'lost');
    const { payload, deliver } = publish();
    receiver.receive(append(payload));
    expect(events.splice(0)).toEqual(['gap']);
    expect(deliver).not.toHaveBeenCalled();
    expect(echoes()).toEqual([]);

    const replayed = transport.channel.journal.map(({ payload: text }) =>
      JSON.parse(text),
    );
    receiver.cursor.replay(
      replayed.map(
        ({ offset, previous, entity_id, message_id }) =>
          ({
            ...made.instance.stamp(entity('User', entity_id)),
            messageId: message_id,
            own: false,
            offset,
            previous,
          }) as never,
      ),
      true,
    );
    expect(deliver).toHaveBeenCalledTimes(1);
    expect(made.heard()).toEqual(['lost']);
    expect(echoes()).toEqual(['2-0']);
    expect(events).toEqual(['moved', 'moved']);
    expect(receiver.replayed).toBe(1);
  });

  it('is widened when it must be held and is too large to be read', () => {
    const { receiver, transport, publish, append, heard, instance, events } =
      makeReceiver();
    receiver.cursor.begin('0-0');
    journal(transport, 'lost');
    const large = instance.stamp(entity('User', 'x'.repeat(1_024)));
    receiver.receive(append(publish(large).payload));
    expect(heard()).toEqual(['not-understood']);
    expect(events).toEqual(['widened']);
    expect(receiver.cursor.catchingUp).toBe(false);
  });

  it('is delivered like a foreign one when it comes back a second time', () => {
    const { receiver, publish, heard } = makeReceiver();
    const { payload } = publish();
    receiver.receive(payload);
    receiver.receive(payload);
    expect(heard()).toEqual(['own']);
  });

  it('is not any message with the same id, nor any that is signed with its origin', () => {
    const { receiver, publish, heard, instance } = makeReceiver();
    const { message, deliver } = publish();
    receiver.receive(wire('forged', { message_id: message.messageId }));
    receiver.receive(
      encodeMessage(instance.stamp(entity('User', 'copied')), Infinity),
    );
    expect(heard()).toEqual(['forged', 'copied']);
    expect(deliver).not.toHaveBeenCalled();
  });
});

describe('MessageReceiver: deliveries of the cursor', () => {
  const at = (message: InvalidationMessage, offset: string): never =>
    ({ ...message, own: false, offset, previous: '0-0' }) as never;

  it('are counted as replayed where they come from the journal', () => {
    const { receiver, heard, events, meter, instance } = makeReceiver();
    const message = (id: number) => instance.stamp(entity('User', id));
    receiver.deliver(at(message(1), '1-0'), true);
    receiver.deliver(at(message(2), '2-0'), false);
    expect(heard()).toEqual(['1', '2']);
    expect(events).toEqual(['moved', 'moved']);
    expect(receiver.replayed).toBe(1);
    expect(meter.totals.replayed).toBe(1);
  });

  it('are no echo at another offset than the position: that journal may be gone', () => {
    const { receiver, publish, echoes, heard, meter } = makeReceiver();
    receiver.cursor.begin('2-0');
    const { message, deliver } = publish();
    receiver.deliver(at(message, '1-0'), true);
    expect(deliver).toHaveBeenCalledTimes(1);
    expect(echoes()).toEqual([]);
    expect(heard()).toEqual([]);
    expect(meter.totals.replayed).toBe(0);
  });

  it('are widened as missed, once as started late', () => {
    const { receiver, heard, events, instance, messages } = makeReceiver();
    receiver.widen();
    receiver.startedLate();
    receiver.widen();
    receiver.widen();
    expect(heard()).toEqual(['missed', 'started-late', 'missed']);
    expect(events).toEqual(['widened', 'widened', 'widened']);
    expect(messages[0]).toMatchObject({
      pattern: '*',
      sourceService: instance.serviceName,
    });
  });

  it.each([
    ['10,000 messages', 10_000, {}],
    ['the bytes of queueByteLimit', 4, { queueByteLimit: 4 * 501 }],
  ])('are widened when more than %s are held', (_, most, given) => {
    const { receiver, transport, heard, instance } = makeReceiver(given);
    receiver.cursor.begin('0-0');
    journal(transport, 'lost');
    for (let n = 2; n < 2 + most; n++) {
      const message = instance.stamp(entity('User', n % 10));
      receiver.cursor.receive(at(message, `${n}-0`));
    }
    expect(heard()).toEqual([]);
    receiver.cursor.receive(at(instance.stamp(entity('User', 1)), '99999-0'));
    expect(heard()).toEqual(['missed']);
  });

  it('recognise duplicates of the latest 10,000 replayed messages', () => {
    const { receiver, transport, heard } = makeReceiver();
    receiver.cursor.begin('0-0');
    const first = journal(transport, 1);
    const latest = first.replace('"offset":"1-0"', '"offset":"10001-0"');
    const entries = Array.from({ length: 20_001 }, (_, n) => ({
      messageId: `${n}`,
      offset: `${n + 1}-0`,
      previous: `${n}-0`,
    }));
    vi.spyOn(receiver, 'deliver').mockReturnValue();
    receiver.cursor.replay(entries as never[], true);
    vi.mocked(receiver.deliver).mockRestore();
    receiver.receive(latest);
    expect(receiver.cursor.catchingUp).toBe(false);
    receiver.receive(first);
    expect(receiver.cursor.catchingUp).toBe(true);
    expect(heard()).toEqual([]);
  });
});

describe('MessageReceiver: nobody listens', () => {
  it('is delivered all the same', () => {
    const made = makeInstance();
    const { options, instance, transport, own, stream, meter, heard } = made;
    const receiver = new MessageReceiver(
      options,
      instance,
      transport,
      own,
      new AcknowledgedMessages(options, transport, made.queue, made.reporter),
      stream,
      meter,
      made.reporter,
    );
    receiver.receive(wire('foreign'));
    receiver.cursor.begin('0-0');
    receiver.receive(journal(transport, 1));
    const message = instance.stamp(entity('User', 'own'));
    own.sent(message.messageId, null);
    transport.channel.append(encodeMessage(message, Infinity));
    receiver.receive(transport.channel.journal.at(-1)!.payload);
    journal(transport, 'lost');
    receiver.receive(journal(transport, 'held'));
    receiver.cursor.restart('4-0');
    expect(heard()).toEqual(['foreign', '1', 'missed']);
    receiver.deliver(
      { ...message, messageId: 'another', offset: '5-0', previous: '4-0' },
      false,
    );
    expect(heard().at(-1)).toBe('own');
  });
});
