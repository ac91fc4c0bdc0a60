import { expect, it, onTestFinished, vi } from 'vitest';
import { MemoryRelayRecord } from '../../lib/transport/memory/memory-relay-record.js';
import { eventually } from '../support/eventually.js';
import { makeInstance } from './parts.js';

it('caughtUp() with a region asks again where its answers came from two servers', async () => {
  const { session, subscriber, transport } = makeInstance({
    heartbeatInterval: 60_000,
    heartbeatTimeout: 60_000,
    regions: { local: 'eu', sources: { us: {} } },
  });
  onTestFinished(() => session.stop());
  const starting = session.start();
  transport.listener!.onWritable();
  transport.listener!.onSubscribed();
  await starting;
  const record = transport.channel.relay('us');
  const looks = vi.spyOn(MemoryRelayRecord.prototype, 'read');
  onTestFinished(() => looks.mockRestore());
  let answer = (_tail: string): void => undefined;
  const ends = vi
    .spyOn(transport, 'journalTail')
    .mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));

  record.place = { offset: '5-0', restarts: 0 };
  let isSettled = false;
  const reached = subscriber
    .caughtUp('5-0', { region: 'us', timeout: 60_000 })
    .finally(() => (isSettled = true));
  await eventually(() => expect(ends).toHaveBeenCalled());
  // The new server has neither the record nor what was forwarded with it.
  record.place = { offset: null, restarts: 0 };
  transport.listener!.onWritable();
  answer(transport.channel.tail);
  await eventually(() =>
    expect(isSettled || looks.mock.calls.length > 2).toBe(true),
  );
  expect(isSettled).toBe(false);

  record.place = { offset: '5-0', restarts: 0 };
  await reached;
  expect(ends).toHaveBeenCalledTimes(2);
});
