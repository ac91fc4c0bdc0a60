import { describe, expect, it } from 'vitest';
import { OwnMessages } from '../../lib/stream/index.js';

/** Messages of which two generations are kept. */
const GENERATION = 10_000;

/** Records a message that counts its deliveries. */
function send(own: OwnMessages, id: string): { deliveries: number } {
  const message = { deliveries: 0 };
  own.sent(id, { deliver: () => message.deliveries++ });
  return message;
}

function sendMany(own: OwnMessages, from: number, to: number): void {
  for (let id = from; id < to; id++) own.sent(String(id), null);
}

describe('OwnMessages: a message', () => {
  it('is under way until it is received, which delivers it', () => {
    const own = new OwnMessages();
    expect(own.isUnderWay('a')).toBe(false);
    const message = send(own, 'a');
    expect(own.isUnderWay('a')).toBe(true);
    expect(message.deliveries).toBe(0);

    expect(own.received('a')).toBe(true);

    expect(message.deliveries).toBe(1);
    expect(own.isUnderWay('a')).toBe(false);
  });

  it('that is received a second time counts as a message of others', () => {
    const own = new OwnMessages();
    const message = send(own, 'a');
    own.received('a');
    expect(own.received('a')).toBe(false);
    expect(message.deliveries).toBe(1);
  });

  it('that was never sent counts as a message of others', () => {
    const own = new OwnMessages();
    send(own, 'a');
    expect(own.received('forged')).toBe(false);
    expect(own.isUnderWay('a')).toBe(true);
  });

  it('that was delivered is not delivered again by its echo', () => {
    const own = new OwnMessages();
    const message = send(own, 'a');
    own.delivered('a');
    expect(own.isUnderWay('a')).toBe(true);
    expect(own.received('a')).toBe(true);
    expect(message.deliveries).toBe(0);
  });

  it('that is delivered after its echo is not under way again', () => {
    const own = new OwnMessages();
    send(own, 'a');
    own.received('a');
    own.delivered('a');
    expect(own.isUnderWay('a')).toBe(false);
  });

  it('is still known when thousands were sent after it', () => {
    const own = new OwnMessages();
    const delivered = send(own, 'delivered');
    const undelivered = send(own, 'undelivered');
    sendMany(own, 0, GENERATION);
    expect(own.isUnderWay('undelivered')).toBe(true);

    own.delivered('delivered');
    expect(own.received('delivered')).toBe(true);
    expect(own.received('undelivered')).toBe(true);

    expect(delivered.deliveries).toBe(0);
    expect(undelivered.deliveries).toBe(1);
    expect(own.received('undelivered')).toBe(false);
  });

  it('is forgotten after two generations', () => {
    const own = new OwnMessages();
    sendMany(own, 0, 2 * GENERATION - 1);
    expect(own.isUnderWay('0')).toBe(true);
    sendMany(own, 2 * GENERATION - 1, 2 * GENERATION);
    expect(own.isUnderWay('0')).toBe(false);
    expect(own.isUnderWay(String(GENERATION))).toBe(true);
  });
});
