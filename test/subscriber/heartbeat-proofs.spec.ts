import { describe, expect, it, vi } from 'vitest';
import { Heartbeat } from '../../lib/subscriber/heartbeat.js';
import type { InstanceOptions } from '../support/parts.js';
import { breathe, stopTime } from './clock.js';
import { journal, makeInstance } from './parts.js';

/** A heartbeat of an instance that has delivered the journal up to its end. */
async function makeHeartbeat(given: Partial<InstanceOptions> = {}) {
  stopTime();
  const made = makeInstance(given);
  const { options, transport, receiver, queue, reporter } = made;
  const events: string[] = [];
  let subscribed = true;
  const heartbeat = new Heartbeat(
    options,
    transport,
    receiver,
    queue,
    reporter,
    {
      isSubscribed: () => subscribed,
      onProof: async (asOf, acked) => {
        events.push(`proof of ${performance.now() - asOf}, ${acked}`);
      },
      onMissing: () => events.push('missing'),
      onCheck: () => undefined,
      onBeat: () => events.push('beat'),
    },
  );
  journal(transport, 1);
  receiver.cursor.begin('1-0');
  heartbeat.start();
  /** Events at the next heartbeat, and so many milliseconds after it. */
  const beat = async (ms = 0): Promise<string[]> => {
    events.length = 0;
    await vi.advanceTimersByTimeAsync(options.heartbeatInterval);
    await breathe();
    await vi.advanceTimersByTimeAsync(ms);
    await breathe();
    return events.splice(0);
  };
  return {
    ...made,
    heartbeat,
    beat,
    events,
    unsubscribe: () => (subscribed = false),
  };
}

describe('Heartbeat: a proof', () => {
  it('is that the journal ends at the position and the subscription answers', async () => {
    const { beat, transport, receiver } = await makeHeartbeat();
    const ping = vi.spyOn(transport, 'ping');
    const read = vi.spyOn(transport, 'readJournal');
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
    // No more questions are needed where the position is the end.
    expect(ping).toHaveBeenCalledTimes(2);
    expect(read).not.toHaveBeenCalled();
    expect(receiver.horizon.tail).toBe('1-0');
  });

  it('is as of the moment before the questions, with what Redis had taken by then', async () => {
    const { beat, transport, queue } = await makeHeartbeat();
    const acked = vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue('1-0');
    vi.spyOn(transport, 'ping').mockImplementation(async () => {
      acked.mockReturnValue('2-0');
      await new Promise((resolve) => setTimeout(resolve, 15));
    });
    expect(await beat(15)).toEqual(['proof of 15, 1-0', 'beat']);
  });

  it('needs no journal where none is kept, and tells of no offset', async () => {
    const { beat, transport, receiver, queue } = await makeHeartbeat();
    vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue('1-0');
    transport.journaled = false;
    receiver.cursor.doubt();
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
  });

  it('is not there without a subscription', async () => {
    const { beat, transport, unsubscribe } = await makeHeartbeat();
    const ping = vi.spyOn(transport, 'ping');
    unsubscribe();
    expect(await beat()).toEqual(['beat']);
    transport.journaled = false;
    expect(await beat()).toEqual(['beat']);
    expect(ping).not.toHaveBeenCalled();
  });

  it('is not there where the subscription does not answer', async () => {
    const { beat, transport } = await makeHeartbeat();
    vi.spyOn(transport, 'ping').mockRejectedValue(new Error('closed'));
    expect(await beat()).toEqual(['beat']);
    transport.journaled = false;
    expect(await beat()).toEqual(['beat']);
  });

  it('is not there where the end of the journal cannot be read', async () => {
    const { beat, transport, receiver } = await makeHeartbeat();
    receiver.horizon.sawTail('1-0');
    vi.spyOn(transport, 'journalTail').mockRejectedValue(new Error('no'));
    expect(await beat()).toEqual(['beat']);
    expect(receiver.horizon.tail).toBe('1-0');
  });

  it('is also a position beyond the end that was read, if the journal has it by now', async () => {
    const { beat, transport, receiver } = await makeHeartbeat();
    vi.spyOn(transport, 'ping').mockImplementationOnce(async () =>
      receiver.receive(journal(transport, 2)),
    );
    vi.spyOn(transport, 'journalTail').mockResolvedValueOnce('1-0');
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
    expect(receiver.position).toBe('2-0');
  });
});

describe('Heartbeat: something is missing', () => {
  it('where the journal goes on behind the position, although all was handed over', async () => {
    const { beat, transport } = await makeHeartbeat();
    journal(transport, 'lost');
    expect(await beat()).toEqual(['missing', 'beat']);
  });

  it('where the journal does not have the position', async () => {
    const { beat, receiver } = await makeHeartbeat();
    receiver.cursor.begin('9-0');
    expect(await beat()).toEqual(['missing', 'beat']);
  });

  it('where no position is known, or messages are held', async () => {
    const { beat, receiver } = await makeHeartbeat();
    receiver.cursor.doubt();
    expect(await beat()).toEqual(['missing', 'beat']);
    receiver.cursor.restart(null);
    expect(await beat()).toEqual(['missing', 'beat']);
  });

  it('is said only once the subscription has handed over what came before the end', async () => {
    const { beat, transport, receiver, unsubscribe } = await makeHeartbeat();
    // The message is under way, and comes before the answer to the second PING.
    const payload = journal(transport, 2);
    const ping = vi.spyOn(transport, 'ping');
    ping.mockResolvedValueOnce();
    ping.mockImplementationOnce(async () => receiver.receive(payload));
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);

    journal(transport, 3);
    ping.mockResolvedValueOnce();
    ping.mockRejectedValueOnce(new Error('closed'));
    expect(await beat()).toEqual(['beat']);

    ping.mockImplementationOnce(async () => {
      unsubscribe();
    });
    expect(await beat()).toEqual(['beat']);
  });

  it('three times in a row while nothing arrives: the subscription is opened anew', async () => {
    const { beat, transport } = await makeHeartbeat();
    journal(transport, 'lost');
    const reconnects: string[][] = [];
    for (let times = 0; times < 6; times++) {
      expect(await beat()).toEqual(['missing', 'beat']);
      reconnects.push([...transport.reconnects]);
    }
    const once = ['subscription'];
    const twice = [...once, ...once];
    expect(reconnects).toEqual([[], [], once, once, once, twice]);
  });

  it('three times, but not in a row: the subscription stays', async () => {
    const { beat, transport, receiver } = await makeHeartbeat();
    const tail = vi.spyOn(transport, 'journalTail');
    const misses = async (): Promise<void> => {
      tail.mockResolvedValueOnce('2-0');
      expect(await beat()).toEqual(['missing', 'beat']);
    };
    await misses();
    await misses();
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
    await misses();
    await misses();
    expect(transport.reconnects).toEqual([]);
    // Something arrives in between.
    receiver.receive('hello');
    for (let times = 0; times < 3; times++) await misses();
    expect(transport.reconnects).toEqual([]);
    await misses();
    expect(transport.reconnects).toEqual(['subscription']);
  });
});

describe('Heartbeat: its course', () => {
  it('is one at a time, and goes on once that is over', async () => {
    const { transport, events } = await makeHeartbeat({
      heartbeatTimeout: 1_000,
    });
    const tail = vi.spyOn(transport, 'journalTail');
    transport.silent = true;
    await vi.advanceTimersByTimeAsync(350);
    expect(tail).toHaveBeenCalledTimes(1);

    transport.silent = false;
    await vi.advanceTimersByTimeAsync(1_000);

    expect(tail.mock.calls.length).toBeGreaterThan(2);
    expect(events.slice(0, 2)).toEqual(['beat', 'proof of 0, null']);
  });

  it('ends at once, whatever is waited for, and tells nothing more', async () => {
    const { beat, transport, heartbeat, events, errors } =
      await makeHeartbeat();
    transport.silent = true;
    await vi.advanceTimersByTimeAsync(100);
    heartbeat.stop();
    await breathe();
    expect(events).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    transport.silent = false;
    expect(await beat()).toEqual([]);
    expect(errors).toEqual([]);
    expect(() => heartbeat.stop()).not.toThrow();
  });

  it('tells of nothing missing where it ends before the journal has answered', async () => {
    const { transport, receiver, heartbeat, events } = await makeHeartbeat();
    receiver.cursor.begin('9-0');
    const read = vi
      .spyOn(transport, 'readJournal')
      .mockReturnValue(new Promise(() => undefined));
    await vi.advanceTimersByTimeAsync(100);
    await breathe();
    expect(read).toHaveBeenCalledTimes(1);
    heartbeat.stop();
    await breathe();
    expect(events).not.toContain('missing');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('asks again when Redis takes commands, which may never answer earlier ones', async () => {
    const { beat, transport, heartbeat, events, errors } =
      await makeHeartbeat();
    transport.silent = true;
    await vi.advanceTimersByTimeAsync(100);
    transport.silent = false;
    heartbeat.writable();
    await breathe();
    expect(events).toEqual(['beat']);
    expect(await beat()).toEqual(['proof of 0, null', 'beat']);
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([]);
  });
});
