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
    { source: 'us', local: 'eu', transit, sources: ['us', 'ap'] },
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
      path: ['eu'],
      offset: null,
      previous: null,
    });
  });

  it('takes a message without a region as born in the source', () => {
    expect(messages().relayed(born(null))).toMatchObject({
      region: 'us',
      path: ['eu'],
    });
  });

  it('takes a message that was relayed nowhere as born in the source, whatever region it names', () => {
    for (const region of ['usa', 'ap', 'eu']) {
      expect(messages().relayed(born(region))).toMatchObject({
        region,
        path: ['eu'],
      });
    }
  });

  it.each<[string, InvalidationMessage, boolean]>([
    ['was born here and comes in transit', born('eu', ['us']), true],
    ['was relayed here', born('us', ['eu']), true],
    ['was relayed here on its way', born('ap', ['eu', 'us']), true],
    ['was born elsewhere', born('ap', ['us']), false],
    [
      'was relayed too often',
      born(
        'ap',
        Array.from({ length: 15 }, (_, at) => `r${at}`),
      ),
      true,
    ],
  ])('refuses a message that %s', (_, message, transit) => {
    expect(messages(transit).relayed(message)).toBeNull();
  });

  it('adds this region to the path of what it takes in transit', () => {
    const transit = messages(true);
    expect(transit.relayed(born('ap', ['us']))?.path).toEqual(['us', 'eu']);
    expect(transit.relayed(born('ap', ['sa', 'us']))?.path).toEqual([
      'sa',
      'us',
      'eu',
    ]);
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
    const of = messages();
    expect(of.isRepeatable(born('us', ['eu']))).toBe(true);
    expect(of.isRepeatable(born('ap', ['us', 'eu']))).toBe(true);
    expect(of.isRepeatable(born('eu'))).toBe(false);
    expect(of.isRepeatable(born('us'))).toBe(false);
    expect(of.isRepeatable(born('ap', ['eu']))).toBe(false);
    const again = of.final(born('us', ['eu']));
    expect(again).toMatchObject({
      region: 'us',
      path: ['eu', 'eu'],
      offset: null,
    });
    expect(of.isRepeatable(again)).toBe(false);
  });

  it('are made of messages whose region is no source: one calls itself so', () => {
    expect(messages().isRepeatable(born('usa', ['eu']))).toBe(true);
  });
});
