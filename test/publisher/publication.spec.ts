import { Logger } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  entity,
  Instance,
  parseTimestamp,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import type { PublishReceipt } from '../../lib/publisher/index.js';
import { Publication } from '../../lib/publisher/publication.js';
import { ErrorReporter, InvalidationStream } from '../../lib/stream/index.js';
import { ROOMY } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

const instance = new Instance('test');
const message = instance.stamp(entity('User', 1));

function makeStream() {
  const meter = new InvalidationCounters(instance);
  const stream = new InvalidationStream(ROOMY, meter, new ErrorReporter());
  const delivered: InvalidationMessage[] = [];
  stream.messages$.subscribe((one) => delivered.push(one));
  return { stream, delivered };
}

function publish() {
  const { stream, delivered } = makeStream();
  const receipts: PublishReceipt[] = [];
  const publication = new Publication(
    stream,
    { message, payload: 'payload' },
    7,
    (one) => {
      // Consumers have the message first.
      expect(delivered).toHaveLength(1);
      receipts.push(one);
    },
  );
  return { publication, delivered, receipts };
}

describe('Publication', () => {
  it('delivers the message before its caller has the receipt', () => {
    const { publication, delivered, receipts } = publish();
    expect(publication.isDelivered).toBe(false);
    const published = { receivers: 2, offset: '5-0' };
    expect(publication.answer('delivered', published)).toBe(true);
    expect(publication.isDelivered).toBe(true);
    expect(delivered).toEqual([message]);
    expect(receipts).toEqual([
      {
        status: 'delivered',
        messageId: message.messageId,
        receivers: 2,
        offset: '5-0',
      },
    ]);
  });

  it('gives one receipt, and delivers once', () => {
    const { publication, delivered, receipts } = publish();
    expect(publication.answer('queued', null)).toBe(true);
    const published = { receivers: 2, offset: '5-0' };
    expect(publication.answer('delivered', published)).toBe(false);
    publication.deliver();
    expect(delivered).toHaveLength(1);
    expect(receipts).toMatchObject([
      { status: 'queued', receivers: null, offset: null },
    ]);
  });

  it('delivers at the echo, and gives the receipt later', () => {
    const { publication, delivered, receipts } = publish();
    publication.deliver();
    publication.deliver();
    expect(publication.isDelivered).toBe(true);
    expect(delivered).toHaveLength(1);
    expect(receipts).toEqual([]);
    expect(publication.answer('delivered', null)).toBe(true);
    expect(delivered).toHaveLength(1);
    expect(receipts).toHaveLength(1);
  });

  it('of a message that has waited is delivered, and answered, already', () => {
    const { stream, delivered } = makeStream();
    const publication = Publication.ofWaiting(stream, message);
    expect(publication.isDelivered).toBe(true);
    expect(publication.answer('delivered', null)).toBe(false);
    publication.deliver();
    expect(delivered).toEqual([]);
    expect(publication.at).toBe(parseTimestamp(message.timestamp));
    expect(decodeMessage(publication.payload, Infinity)).toMatchObject({
      messageId: message.messageId,
    });
  });
});
