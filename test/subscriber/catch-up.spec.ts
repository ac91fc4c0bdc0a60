import { describe, expect, it, vi } from 'vitest';
import {
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../../lib/errors/index.js';
import { encodeMessage, entity } from '../../lib/message/index.js';
import { CatchUp } from '../../lib/subscriber/catch-up.js';
import type { JournalEntry } from '../../lib/transport/index.js';
import { breathe, stopTime } from './clock.js';
import { journal, makeInstance } from './parts.js';

/** Catches up on a journal with this many messages, which nobody has received. */
function makeCatchUp(count = 0) {
  stopTime();
  const made = makeInstance();
  const { options, transport, receiver, acknowledged, queue, reporter } = made;
  const events: string[] = [];
  const catchUp: CatchUp = new CatchUp(
    options,
    transport,
    receiver,
    acknowledged,
    queue,
    reporter,
    {
      onBegin: () => events.push('begin'),
      onEnd: (asOf, reason) => {
        const age = asOf === null ? null : performance.now() - asOf;
        events.push(`end as of ${age}, ${reason}`);
      },
      onUnverified: () => undefined,
      onMoved: () => events.push('moved'),
      onLostOwn: () => events.push('lost own'),
    },
  );
  receiver.listen({
    onGap: () => catchUp.run(),
    onMoved: () => {},
    onWidened: () => {},
    onForeign: () => {},
  });
  for (let id = 1; id <= count; id++) journal(transport, id);
  /** Redis has taken the own message at this offset last. */
  const taken = (offset: string): void =>
    void vi.spyOn(queue, 'lastOffset', 'get').mockReturnValue(offset);
  /** Events since the last call, once everything has run that needs no time. */
  const soon = async (ms = 0): Promise<string[]> => {
    await breathe();
    await vi.advanceTimersByTimeAsync(ms);
    await breathe();
    return events.splice(0);
  };
  const broke = vi.spyOn(acknowledged, 'journalBroke');
  const doubted = vi.spyOn(acknowledged, 'doubt');
  return {
    ...made,
    catchUp,
    taken,
    soon,
    broke: () => broke.mock.calls.length,
    doubted: () => doubted.mock.calls.length,
  };
}

/** The catch-up of an instance that was live at this position, and lost its subscription. */
async function makeReturning(position: string, count: number) {
  const made = makeCatchUp(count);
  made.receiver.cursor.begin(position);
  made.catchUp.lost();
  return made;
}

const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, n) => String(from + n));

/**
 * Answers the next question by this method, and loses the subscription between
 * its answer and whatever follows from it.
 */
function loseAfter(
  { transport, catchUp }: ReturnType<typeof makeCatchUp>,
  method: 'readJournal' | 'journalTail' | 'ping',
): void {
  const answer = transport[method].bind(transport) as () => Promise<never>;
  vi.spyOn(transport, method).mockImplementationOnce((...given: []) => {
    const answered = answer(...given);
    queueMicrotask(() => void answered.then(() => catchUp.lost()));
    return answered;
  });
}

describe('CatchUp: the first subscription', () => {
  it("begins at the journal's end, once the subscription has answered", async () => {
    const { catchUp, transport, receiver, soon, heard, broke } = makeCatchUp(3);
    const ping = vi.spyOn(transport, 'ping');
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin', 'end as of 0, null', 'moved']);
    expect(receiver.position).toBe('3-0');
    expect(receiver.horizon.tail).toBe('3-0');
    expect(receiver.cursor.catchingUp).toBe(false);
    expect(ping).toHaveBeenCalledTimes(1);
    expect(heard()).toEqual([]);
    expect(broke()).toBe(0);
  });

  it('tells of the moment before the end was read', async () => {
    const { catchUp, transport, soon } = makeCatchUp(3);
    vi.spyOn(transport, 'ping').mockReturnValueOnce(
      new Promise((resolve) => setTimeout(resolve, 15)),
    );
    catchUp.subscribed();
    expect(await soon(15)).toContain('end as of 15, null');
  });

  it('waits for Redis to take commands', async () => {
    const { catchUp, transport, receiver, soon } = makeCatchUp(3);
    transport.writable = false;
    const tail = vi.spyOn(transport, 'journalTail');
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin']);
    expect(tail).not.toHaveBeenCalled();
    transport.writable = true;
    catchUp.writable();
    expect(await soon()).toEqual(['begin', 'end as of 0, null', 'moved']);
    expect(receiver.position).toBe('3-0');
  });

  it('is live without a position where Redis does not answer, and evicts nothing', async () => {
    const { catchUp, transport, receiver, soon, heard, errors } =
      makeCatchUp(3);
    transport.silent = true;
    catchUp.subscribed();
    expect(await soon(20)).toEqual([
      'begin',
      'end as of null, the journal could not be read: Redis has not answered a reading of the journal for 20 ms. It is asked again; until it answers, this instance is not known to be up to date',
      'moved',
    ]);
    expect(receiver.position).toBeNull();
    expect(transport.reconnects).toEqual(['commands']);
    expect(errors).toEqual([expect.any(InvalidationTimeoutError)]);
    expect(heard()).toEqual([]);
  });

  it('widens when the application has served requests before, as started late', async () => {
    const { catchUp, receiver, soon, heard, broke } = makeCatchUp(3);
    catchUp.served();
    catchUp.served();
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin', 'end as of 0, null', 'moved']);
    expect(receiver.position).toBe('3-0');
    expect(receiver.horizon.tail).toBe('3-0');
    expect(heard()).toEqual(['started-late']);
    expect(broke()).toBe(1);
  });

  it('is not late when it was lost before the application served', async () => {
    const { catchUp, receiver, soon, heard } = makeCatchUp(3);
    const late = vi.spyOn(receiver, 'startedLate');
    catchUp.lost();
    catchUp.served();
    catchUp.subscribed();
    await soon();
    expect(heard()).toEqual(['missed']);
    expect(late).not.toHaveBeenCalled();
  });

  it('is the only one that widens nothing without a position', async () => {
    const { catchUp, receiver, soon, heard } = makeCatchUp(3);
    catchUp.subscribed();
    await soon();
    receiver.cursor.restart(null);
    catchUp.run();
    await soon();
    expect(receiver.position).toBe('3-0');
    expect(heard()).toEqual(['missed', 'missed']);
  });
});

describe('CatchUp: a later subscription', () => {
  it('replays what was missed, page by page', async () => {
    const { catchUp, receiver, transport, soon, heard, meter, reporter } =
      await makeReturning('2-0', 40);
    const read = vi.spyOn(transport, 'readJournal');
    const log = vi.spyOn(reporter, 'log');
    catchUp.subscribed();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'moved',
      'end as of 0, null',
      'moved',
    ]);
    expect(heard()).toEqual(ids(3, 40));
    expect(receiver.position).toBe('40-0');
    expect(receiver.horizon.tail).toBe('40-0');
    expect(read.mock.calls.map(([from]) => from)).toEqual(['2-0', '17-0']);
    expect(meter.totals).toMatchObject({ replayed: 38, widened: 0 });
    expect(log.mock.calls).toEqual([
      ['log', '38 missed messages were replayed from the journal.', 'replayed'],
    ]);
  });

  it('logs how many messages were replayed each time, if any', async () => {
    const { catchUp, transport, soon, reporter } = await makeReturning(
      '2-0',
      4,
    );
    const log = vi.spyOn(reporter, 'log');
    catchUp.subscribed();
    await soon();
    catchUp.subscribed();
    await soon();
    journal(transport, 5);
    catchUp.subscribed();
    await soon();
    expect(log.mock.calls.map(([, text]) => text)).toEqual([
      '2 missed messages were replayed from the journal.',
      '1 missed message was replayed from the journal.',
    ]);
  });

  it('replays what was missed before a message that is held', async () => {
    const { receiver, transport, soon, heard } = makeCatchUp(40);
    receiver.cursor.begin('1-0');
    receiver.receive(journal(transport, 41));
    await soon();
    expect(heard()).toEqual(ids(2, 41));
  });

  it.each<[string, (entries: JournalEntry[]) => void]>([
    ['is empty', (entries) => entries.splice(0)],
    ['lost the entry at the position', (entries) => entries.splice(1, 1)],
    ['lost a later entry', (entries) => entries.splice(3, 1)],
  ])('widens when the journal %s', async (_, fault) => {
    const { catchUp, receiver, transport, soon, heard, broke } =
      await makeReturning('2-0', 5);
    fault(transport.channel.journal);
    const { tail } = transport.channel;
    catchUp.subscribed();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'end as of 0, null',
      'moved',
    ]);
    expect(heard().at(-1)).toBe('missed');
    expect(heard().filter((one) => one === 'missed')).toHaveLength(1);
    expect(receiver.position).toBe(tail);
    expect(receiver.horizon.tail).toBe(tail);
    expect(broke()).toBe(1);
  });

  it('widens when an entry is no message, and delivers nothing after it', async () => {
    const { receiver, transport, soon, heard } = makeCatchUp(5);
    receiver.cursor.begin('1-0');
    transport.channel.journal[3] = { offset: '4-0', payload: 'hello' };
    receiver.receive(journal(transport, 6));
    await soon();
    expect(heard()).toEqual(['2', '3', 'missed']);
    expect(receiver.position).toBe('6-0');
  });

  it('widens where the journal cannot be read, and tells why', async () => {
    const { catchUp, receiver, transport, soon, heard, errors } =
      await makeReturning('2-0', 5);
    const cause = new Error('WRONGTYPE a key.');
    vi.spyOn(transport, 'readJournal').mockRejectedValue(cause);
    catchUp.subscribed();
    expect(await soon()).toEqual([
      'begin',
      'end as of null, the journal could not be read: WRONGTYPE a key',
      'moved',
    ]);
    expect(heard()).toEqual(['missed']);
    expect(receiver.position).toBeNull();
    expect(transport.reconnects).toEqual([]);
    expect(errors).toEqual([
      new InvalidationRedisError(
        'The journal could not be read: WRONGTYPE a key.',
        'Everything was evicted, since messages may have been missed.',
        cause,
      ),
    ]);
    expect(errors[0]!.cause).toBe(cause);
  });

  it('tells of no moment where the journal could be read only in part', async () => {
    const { catchUp, transport, soon } = await makeReturning('2-0', 40);
    const read = transport.readJournal.bind(transport);
    vi.spyOn(transport, 'readJournal')
      .mockImplementationOnce(read)
      .mockRejectedValueOnce(new Error('no'));
    catchUp.subscribed();
    expect(await soon()).toContain(
      'end as of null, the journal could not be read: no',
    );
  });

  it('waits for the next connection when the commands connection breaks', async () => {
    const { catchUp, transport, soon, heard, errors } = await makeReturning(
      '2-0',
      4,
    );
    vi.spyOn(transport, 'readJournal').mockImplementationOnce(async () => {
      transport.writable = false;
      throw new Error('Connection is closed.');
    });
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin']);
    transport.writable = true;
    catchUp.writable();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'end as of 0, null',
      'moved',
    ]);
    expect(heard()).toEqual(['3', '4']);
    expect(errors).toEqual([]);
  });

  it('does not wait for ever for the next connection', async () => {
    const { catchUp, transport, soon, heard, errors } = await makeReturning(
      '2-0',
      4,
    );
    transport.writable = false;
    catchUp.subscribed();
    expect(await soon(20)).toEqual([
      'begin',
      expect.stringContaining('Redis has not answered a connection for 20 ms'),
      'moved',
    ]);
    expect(heard()).toEqual(['missed']);
    expect(errors).toHaveLength(1);
  });

  it('goes on from where the position is by then, when that moved during a reading', async () => {
    const { catchUp, receiver, transport, soon, heard } = await makeReturning(
      '2-0',
      4,
    );
    const read = transport.readJournal.bind(transport);
    vi.spyOn(transport, 'readJournal').mockImplementationOnce(
      async (from, count) => {
        const entries = await read(from, count);
        // More messages were held than may be.
        receiver.cursor.restart('3-0');
        return entries;
      },
    );
    catchUp.subscribed();
    await soon();
    expect(heard()).toEqual(['missed']);
    catchUp.run();
    await soon();
    expect(heard()).toEqual(['missed', '4']);
  });

  it('takes a position again when that was given up during a reading', async () => {
    const { catchUp, receiver, transport, soon, heard } = await makeReturning(
      '2-0',
      4,
    );
    const read = transport.readJournal.bind(transport);
    vi.spyOn(transport, 'readJournal').mockImplementationOnce(
      async (from, count) => {
        // More messages were held than may be.
        receiver.cursor.restart(null);
        return read(from, count);
      },
    );
    catchUp.subscribed();
    await soon();
    expect(heard()).toEqual(['missed', 'missed']);
    expect(receiver.position).toBe('4-0');
  });

  it('reads again when something was missed while own messages were looked for', async () => {
    const { catchUp, receiver, transport, taken, soon, heard } =
      await makeReturning('2-0', 4);
    taken('2-0');
    const read = transport.readJournal.bind(transport);
    vi.spyOn(transport, 'readJournal')
      .mockImplementationOnce(read)
      .mockImplementationOnce(async (from, count) => {
        journal(transport, 'lost');
        receiver.receive(journal(transport, 'next'));
        return read(from, count);
      });
    catchUp.subscribed();
    await soon();
    expect(heard()).toEqual(['3', '4', 'lost', 'next']);
  });
});

describe('CatchUp: one at a time', () => {
  it('holds messages from a new doubt on, and reads on', async () => {
    const { catchUp, receiver, transport, soon, heard } = makeCatchUp(2);
    receiver.cursor.begin('2-0');
    catchUp.run();
    expect(receiver.cursor.catchingUp).toBe(true);
    catchUp.run();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'end as of 0, null',
      'moved',
    ]);
    journal(transport, 3);
    catchUp.run();
    await soon();
    expect(heard()).toEqual(['3']);
  });

  it('begins anew with each subscription', async () => {
    const { catchUp, transport, soon, heard, errors } = await makeReturning(
      '2-0',
      4,
    );
    transport.silent = true;
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin']);
    transport.silent = false;
    catchUp.subscribed();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'end as of 0, null',
      'moved',
    ]);
    expect(heard()).toEqual(['3', '4']);
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('begins anew when Redis takes commands, only if it was under way', async () => {
    const { catchUp, transport, soon, heard, doubted } = await makeReturning(
      '2-0',
      4,
    );
    const before = doubted();
    catchUp.writable();
    expect(await soon()).toEqual([]);
    transport.silent = true;
    catchUp.subscribed();
    await soon();
    transport.silent = false;
    catchUp.writable();
    expect(await soon()).toContain('end as of 0, null');
    expect(heard()).toEqual(['3', '4']);
    expect(doubted()).toBe(before + 2);
  });

  it('ends with its subscription', async () => {
    const { catchUp, transport, soon, heard, errors, doubted } =
      await makeReturning('2-0', 4);
    transport.silent = true;
    catchUp.subscribed();
    await soon();
    const before = doubted();
    catchUp.lost();
    expect(await soon(100)).toEqual([]);
    expect(doubted()).toBe(before + 1);
    expect(heard()).toEqual([]);
    expect(errors).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends with its subscription while own messages are looked for', async () => {
    const made = await makeReturning('2-0', 4);
    const { catchUp, transport, taken, soon } = made;
    taken('9-0');
    const read = transport.readJournal.bind(transport);
    vi.spyOn(transport, 'readJournal')
      .mockImplementationOnce(read)
      .mockReturnValueOnce(new Promise(() => undefined));
    catchUp.subscribed();
    expect(await soon()).toEqual(['begin', 'moved']);
    catchUp.lost();
    expect(await soon(100)).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('uses no answer that comes as its subscription is lost: entries', async () => {
    const made = await makeReturning('2-0', 4);
    loseAfter(made, 'readJournal');
    made.catchUp.subscribed();
    expect(await made.soon(100)).toEqual(['begin']);
    expect(made.heard()).toEqual([]);
    expect(made.receiver.position).toBe('2-0');
    expect(made.receiver.horizon.tail).toBe('0-0');
  });

  it('uses no answer that comes as its subscription is lost: the end of a broken journal', async () => {
    const made = await makeReturning('2-0', 4);
    made.transport.channel.journal.splice(1, 1);
    loseAfter(made, 'journalTail');
    made.catchUp.subscribed();
    expect(await made.soon(100)).toEqual(['begin', 'moved']);
    expect(made.heard()).toEqual([]);
    expect(made.receiver.position).toBe('2-0');
  });

  it('uses no answer that comes as its subscription is lost: the end, with no position', async () => {
    const made = makeCatchUp(4);
    made.catchUp.served();
    loseAfter(made, 'journalTail');
    made.catchUp.subscribed();
    expect(await made.soon(100)).toEqual(['begin']);
    expect(made.heard()).toEqual([]);
    expect(made.receiver.horizon.tail).toBe('0-0');
    expect(made.receiver.position).toBeNull();
  });

  it('uses no answer that comes as its subscription is lost: a PING', async () => {
    const made = makeCatchUp(4);
    loseAfter(made, 'ping');
    made.catchUp.subscribed();
    expect(await made.soon(100)).toEqual(['begin']);
    expect(made.receiver.position).toBeNull();
  });
});

describe('CatchUp: own messages', () => {
  it('are looked for after the reading; if they are lost, that is told', async () => {
    const { catchUp, taken, soon } = await makeReturning('2-0', 4);
    taken('9-0');
    catchUp.subscribed();
    expect(await soon()).toEqual([
      'begin',
      'moved',
      'lost own',
      'end as of 0, null',
      'moved',
    ]);
  });

  it('are not looked for if they came back before the position that was found first', async () => {
    const { catchUp, acknowledged, taken, transport, soon } =
      await makeReturning('2-0', 40);
    const confirm = vi.spyOn(acknowledged, 'confirm');
    taken('2-0');
    acknowledged.echoed('2-0');
    const read = vi.spyOn(transport, 'readJournal');
    catchUp.subscribed();
    await soon();
    expect(confirm.mock.calls).toEqual([['2-0', '2-0']]);
    expect(read).toHaveBeenCalledTimes(2);
  });

  it('are confirmed at a heartbeat with the position, unless the journal is being read', async () => {
    const { catchUp, acknowledged, receiver, transport, soon } = makeCatchUp(4);
    const confirm = vi.spyOn(acknowledged, 'confirm');
    receiver.cursor.begin('4-0');
    await catchUp.confirmOwn('3-0');
    expect(confirm.mock.calls).toEqual([['3-0', '4-0']]);
    expect(await soon()).toEqual([]);
    await catchUp.confirmOwn('9-0');
    expect(await soon()).toEqual(['lost own']);
    transport.silent = true;
    catchUp.run();
    await catchUp.confirmOwn('10-0');
    expect(confirm).toHaveBeenCalledTimes(2);
  });

  it('are confirmed at the next heartbeat where they cannot be looked up', async () => {
    const { catchUp, transport, soon } = makeCatchUp(4);
    vi.spyOn(transport, 'readJournal').mockRejectedValueOnce(new Error('no'));
    await catchUp.confirmOwn('9-0');
    expect(await soon()).toEqual([]);
    await catchUp.confirmOwn('9-0');
    expect(await soon()).toEqual(['lost own']);
  });

  it('are echoes where they are replayed', async () => {
    const { catchUp, transport, instance, own, soon, heard } =
      await makeReturning('2-0', 2);
    const message = instance.stamp(entity('User', 'own'));
    own.sent(message.messageId, null);
    transport.channel.append(encodeMessage(message, Infinity));
    catchUp.subscribed();
    await soon();
    expect(heard()).toEqual([]);
    expect(own.isUnderWay(message.messageId)).toBe(false);
  });
});
