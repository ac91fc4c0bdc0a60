import { describe, expect, it } from 'vitest';
import {
  batch,
  decodeMessage,
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { RelayMessages } from '../../lib/regions/relay-messages.js';

const MAX = 100_000;
const relay = new Instance('relay', 'eu');

function messages(transit = false, maxBytes = MAX): RelayMessages {
  return new RelayMessages(
    { source: 'us', local: 'eu', transit },
    relay,
    maxBytes,
  );
}

function born(
  region: string | null,
  path: string[] | null = null,
): InvalidationMessage {
  const message = new Instance('writer', region).stamp(entity('User', 1));
  return { ...message, path, offset: '5-5', previous: '5-4', own: false };
}

describe('RelayMessages.relayed()', () => {
  it('takes what was born in the source, without its place there', () => {
    const message = born('us');
    expect(messages().relayed(message)).toEqual({
      ...message,
      offset: null,
      previous: null,
    });
  });

  it('takes a message without a region as born in the source', () => {
    expect(messages().relayed(born(null))).toMatchObject({
      region: 'us',
      path: null,
    });
  });

  it.each<[string, InvalidationMessage, boolean]>([
    ['was born here', born('eu'), false],
    ['was born here and comes in transit', born('eu'), true],
    ['was relayed here', born('us', ['eu']), false],
    ['was relayed here on its way', born('ap', ['eu', 'sa']), true],
    ['was born elsewhere', born('ap'), false],
    [
      'was relayed too often',
      born(
        'ap',
        Array.from({ length: 16 }, (_, at) => `r${at}`),
      ),
      true,
    ],
  ])('refuses a message that %s', (_, message, transit) => {
    expect(messages(transit).relayed(message)).toBeNull();
  });

  it('adds the source to the path of what it takes in transit', () => {
    const { relayed } = RelayMessages.prototype;
    const transit = messages(true);
    expect(relayed.call(transit, born('ap'))?.path).toEqual(['us']);
    expect(relayed.call(transit, born('ap', ['sa']))?.path).toEqual([
      'sa',
      'us',
    ]);
    expect(relayed.call(transit, born('us'))?.path).toBeNull();
  });
});

describe('RelayMessages.encode()', () => {
  const roundTrip = (message: InvalidationMessage, of = messages()) =>
    decodeMessage(of.encode(message), MAX);

  it('keeps id, time, origin, trace, position and metadata', () => {
    const message: InvalidationMessage = {
      ...born('us'),
      offset: null,
      previous: null,
      trace: { traceparent: '00-1-2-01' },
      at: { pg: '0/16B3748' },
      metadata: { version: 7 },
    };
    expect(roundTrip(message)).toEqual(message);
  });

  it.each([null, 'short', 'x'.repeat(37)])(
    'signs with its own origin in the place of %j',
    (origin) => {
      const message = { ...born('us'), offset: null, previous: null, origin };
      expect(roundTrip(message).origin).toBe(relay.origin);
    },
  );

  it('publishes everything in the place of a message that became too large', () => {
    const keys = Array.from({ length: 1_000 }, (_, id) => `user:${id}`);
    const large = {
      ...new Instance('writer', 'us').stamp(batch(keys)),
      own: false,
    };
    expect(roundTrip(large, messages(false, 4_096))).toMatchObject({
      action: 'Pattern',
      pattern: '*',
      region: 'us',
    });
  });
});

describe('RelayMessages: repetitions', () => {
  it('are made of what was relayed from the source, once', () => {
    const of = messages(true);
    expect(of.isRepeatable(born('us'))).toBe(true);
    expect(of.isRepeatable(born('ap', ['us']))).toBe(true);
    expect(of.isRepeatable(born('eu'))).toBe(false);
    expect(of.isRepeatable(born('ap'))).toBe(false);
    const again = of.final(born('us'));
    expect(again).toMatchObject({ region: 'us', path: ['eu'], offset: null });
    expect(of.isRepeatable(again)).toBe(false);
  });
});
