import { expect, it, onTestFinished, vi } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
} from '../../lib/message/index.js';
import { RelayMessages } from '../../lib/regions/relay-messages.js';
import { Repeater } from '../../lib/regions/repeater.js';
import { InMemoryChannel, MemoryTransport } from '../../lib/transport/index.js';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';

it.each<[title: string, restarts: boolean]>([
  ['when its time is up', false],
  ['at the next start', true],
])(
  'A reading of the journal that is never settled is given up %s, and repetitions go on',
  async (_, restarts) => {
    const channel = new InMemoryChannel();
    const transport = new MemoryTransport(channel);
    const us = new Instance('writer', 'us');
    const publish = (id: number): unknown => {
      const message = { ...us.stamp(entity('User', id)), path: ['eu'] };
      return channel.append(encodeMessage(message, Infinity));
    };
    const messages = new RelayMessages(
      { source: 'us', local: 'eu', transit: false, sources: ['us'] },
      new Instance('relay', 'eu'),
      10_000,
    );
    const repeater = new Repeater(
      {
        delay: 20,
        heartbeatTimeout: restarts ? 60_000 : 100,
        maxMessageBytes: 10_000,
        queueByteLimit: Infinity,
      },
      transport,
      transport.relayRecord('us:repeat', 'one'),
      messages,
      () => undefined,
    );
    onTestFinished(() => repeater.stop());
    const repeated = (): string[] =>
      channel.journal
        .map(({ payload }) => decodeMessage(payload, Infinity))
        .filter(({ path }) => path?.at(-2) === 'eu')
        .map(said);
    publish(1);
    repeater.start();
    await eventually(() => expect(repeated()).toEqual(['*']));
    const read = vi
      .spyOn(transport, 'readJournal')
      .mockReturnValueOnce(new Promise(() => undefined));
    publish(2);
    await eventually(() => expect(read).toHaveBeenCalled());
    if (restarts) {
      repeater.stop();
      repeater.start();
    }
    await eventually(() => expect(repeated()).toEqual(['*', 'User:2']));
  },
);
