import { describe, expect, it, vi } from 'vitest';
import { InvalidationRedisError } from '../../lib/errors/index.js';
import { ConnectionProbe } from '../../lib/subscriber/connection-probe.js';
import { breathe, stopTime } from './clock.js';
import { journal, makeInstance, said } from './parts.js';

function makeProbe() {
  stopTime();
  const made = makeInstance();
  const { options, transport, receiver, reporter } = made;
  const probe = new ConnectionProbe(options, transport, receiver, reporter);
  /** The answer to a question, once so many milliseconds have passed. */
  const after = async <T>(ms: number, answer: Promise<T>): Promise<T> => {
    await vi.advanceTimersByTimeAsync(ms);
    return answer;
  };
  return { ...made, probe, after };
}

describe('ConnectionProbe: the end of the journal', () => {
  it('is read', async () => {
    const { probe, transport, errors } = makeProbe();
    journal(transport, 1);
    expect(await probe.tail()).toBe('1-0');
    expect(errors).toEqual([]);
  });

  it('has no answer in time: the commands connection is opened anew', async () => {
    const { probe, transport, errors, after } = makeProbe();
    transport.silent = true;
    expect(await after(20, probe.tail())).toBeNull();
    expect(transport.reconnects).toEqual(['commands']);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('Redis has not answered a heartbeat for 20 ms.'),
    ]);
  });

  it('is an error: that is reported, and the connection stays', async () => {
    const { probe, transport, errors } = makeProbe();
    const cause = new Error('WRONGTYPE Operation against a key.');
    vi.spyOn(transport, 'journalTail').mockRejectedValue(cause);
    expect(await probe.tail()).toBeNull();
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([
      new InvalidationRedisError(
        'The end of the journal could not be read: WRONGTYPE Operation against a key.',
        'Until it can, this instance is not known to be up to date.',
        cause,
      ),
    ]);
  });

  it('is an error because the connection was lost: nothing is reported', async () => {
    const { probe, transport, errors } = makeProbe();
    vi.spyOn(transport, 'journalTail').mockImplementation(async () => {
      transport.writable = false;
      throw new Error('Connection is closed.');
    });
    expect(await probe.tail()).toBeNull();
    expect(errors).toEqual([]);
  });

  it('is not read while Redis takes no commands, which is hastened after twice the timeout', async () => {
    const { probe, transport, errors } = makeProbe();
    transport.writable = false;
    const asked = vi.spyOn(transport, 'journalTail');
    const reconnects: number[] = [];
    for (const ms of [0, 39, 1, 39, 1]) {
      vi.advanceTimersByTime(ms);
      expect(await probe.tail()).toBeNull();
      reconnects.push(transport.reconnects.length);
    }
    expect(reconnects).toEqual([0, 0, 1, 1, 2]);
    expect(transport.reconnects[0]).toBe('commands');
    expect(asked).not.toHaveBeenCalled();
    expect(errors).toEqual([]);
  });

  it('was read in between: a connection that is opened again has its time again', async () => {
    const { probe, transport } = makeProbe();
    transport.writable = false;
    await probe.tail();
    vi.advanceTimersByTime(30);
    transport.writable = true;
    await probe.tail();
    transport.writable = false;
    await probe.tail();
    vi.advanceTimersByTime(30);
    await probe.tail();
    expect(transport.reconnects).toEqual([]);
  });
});

describe('ConnectionProbe: a PING', () => {
  it('is answered', async () => {
    const { probe } = makeProbe();
    expect(await probe.ping()).toBe(true);
  });

  it('has no answer in time: the subscription is opened anew', async () => {
    const { probe, transport, errors, after } = makeProbe();
    transport.silent = true;
    expect(await after(20, probe.ping())).toBe(false);
    expect(transport.reconnects).toEqual(['subscription']);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining('Redis has not answered a PING for 20 ms.'),
    ]);
  });

  it('has no answer from a connection that delivers: it is only slow', async () => {
    const { probe, transport, receiver, errors, after } = makeProbe();
    transport.silent = true;
    receiver.receive(said(1));
    const answer = probe.ping();
    receiver.receive(said(2));
    expect(await after(20, answer)).toBe(false);
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('fails with its connection, which is being opened already', async () => {
    const { probe, transport, errors } = makeProbe();
    vi.spyOn(transport, 'ping').mockRejectedValue(new Error('closed'));
    expect(await probe.ping()).toBe(false);
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([]);
  });
});

describe('ConnectionProbe: an entry', () => {
  it('is looked for in the journal, and counts as absent where that cannot be read', async () => {
    const { probe, transport, errors } = makeProbe();
    journal(transport, 1);
    expect(await probe.hasEntry('1-0')).toBe(true);
    expect(await probe.hasEntry('2-0')).toBe(false);
    vi.spyOn(transport, 'readJournal').mockRejectedValue(new Error('away'));
    expect(await probe.hasEntry('1-0')).toBe(false);
    expect(errors).toEqual([]);
  });
});

describe('ConnectionProbe.cancel()', () => {
  it('ends all waiting', async () => {
    const { probe, transport, errors } = makeProbe();
    transport.silent = true;
    const answers = [probe.ping(), probe.hasEntry('1-0'), probe.tail()];
    await breathe();
    probe.cancel();
    expect(await Promise.all(answers)).toEqual([false, false, null]);
    expect(vi.getTimerCount()).toBe(0);
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([]);
  });
});
