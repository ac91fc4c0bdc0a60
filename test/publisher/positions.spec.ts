import { describe, expect, it } from 'vitest';
import { InvalidMessageError } from '../../lib/errors/index.js';
import {
  batch,
  decodeMessage,
  encodeMessage,
  entity,
} from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import { said } from '../support/app.js';
import { makePublisher } from '../support/parts.js';

const EARLY = { pg: '0/9' };
const LATE = { pg: '0/A0' };

describe('Positions given by hand', () => {
  it('are in the message of each method, here and for others', async () => {
    const { publisher, sent, delivered } = makePublisher();
    const at = LATE;
    await publisher.invalidate('User', 1, { at });
    await publisher.update('User', 1, { at });
    await publisher.invalidateUser(1, { at });
    await publisher.invalidateCustom('session', 1, { at });
    await publisher.invalidateBatch(['user:1'], { at });
    await publisher.invalidatePattern('user:1*', { at });
    await publisher.invalidateAll({ at });
    await publisher.publish(entity('User', 1), { at });
    expect(sent().map((message) => message.at)).toEqual(Array(8).fill(at));
    expect(delivered.map((message) => message.at)).toEqual(Array(8).fill(at));
    await publisher.invalidate('User', 1);
    expect(sent().at(-1)!.at).toBeNull();
  });

  it('are refused where no receiver could read them', async () => {
    const { publisher, sent } = makePublisher();
    for (const at of [{}, { pg: 'now' }, null, '0/9'] as never[]) {
      await expect(publisher.invalidate('User', 1, { at })).rejects.toThrow(
        InvalidMessageError,
      );
    }
    expect(sent()).toEqual([]);
  });

  it('hold for what follows by a rule', async () => {
    const { publisher, sent } = makePublisher({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    await publisher.invalidate('User', 1, { at: LATE });
    expect(sent().map((each) => [said(each), each.at])).toEqual([
      ['User:1', LATE],
      ['Feed:1', LATE],
    ]);
  });

  it('are left out in a scope, whose commit comes later', async () => {
    const { publisher, sent } = makePublisher();
    await InvalidationScope.run(() =>
      publisher.invalidate('User', 1, { at: LATE }),
    );
    expect(sent().map((message) => message.at)).toEqual([null]);
  });
});

describe('Positions of merged messages', () => {
  it('are the latest with the option coalesce, on this instance each its own', async () => {
    const { publisher, pipeline, sent, delivered } = makePublisher({
      coalesce: true,
    });
    await Promise.all([
      publisher.invalidate('User', 1, { at: LATE }),
      publisher.invalidate('User', 2, { at: EARLY }),
    ]);
    await Promise.all([
      publisher.invalidate('User', 1, { at: LATE }),
      publisher.invalidate('User', 1),
    ]);
    expect(sent().map((each) => [said(each), each.at])).toEqual([
      ['user:1,user:2', LATE],
      ['User:1', null],
    ]);
    delivered.length = 0;
    void pipeline.publish(() => entity('User', 1), { wait: false }, EARLY);
    await pipeline.publish(() => entity('User', 2), { wait: false }, LATE);
    expect(delivered.map((each) => each.at)).toEqual([EARLY, LATE]);
  });

  it('are the latest of what waits for Redis', async () => {
    const { publisher, transport, sent } = makePublisher();
    transport.writable = false;
    await publisher.invalidate('User', 1, { at: EARLY });
    await publisher.invalidate('User', 1, { at: LATE });
    await publisher.invalidate('User', 2, { at: EARLY });
    await publisher.invalidate('User', 2);
    transport.writable = true;
    const receipt = await publisher.invalidate('User', 3, { at: EARLY });
    expect(receipt.status).not.toBe('disabled');
    expect(sent().map((each) => [said(each), each.at])).toEqual([
      ['User:1', LATE],
      ['User:2', null],
      ['User:3', EARLY],
    ]);
  });
});

describe('Positions of stored rows', () => {
  it('are given after the commit, and never in the row', async () => {
    const { publisher, sent } = makePublisher();
    const stored = publisher.prepare({
      ...entity('User', 1),
      at: EARLY,
    } as never);
    expect(decodeMessage(stored.text, Infinity).at).toBeNull();
    await publisher.publishStored(stored, { at: LATE });
    await publisher.publishStored(stored);
    expect(sent().map((message) => message.at)).toEqual([LATE, null]);
    await expect(
      publisher.publishStored(stored, { at: { pg: 'x' } }),
    ).rejects.toThrow(InvalidMessageError);
  });

  it('are kept where another service has written them', async () => {
    const { publisher, instance, sent } = makePublisher({
      cascade: { User: (id) => [entity('Feed', id)] },
    });
    const message = instance.stamp(batch(['user:1']), 0, LATE);
    const text = encodeMessage(message, Infinity);
    await publisher.publishStored({ messageId: message.messageId, text });
    expect(sent().map((each) => [said(each), each.at])).toEqual([
      ['user:1', LATE],
      ['Feed:1', LATE],
    ]);
  });
});
