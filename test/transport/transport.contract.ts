import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type {
  InvalidationTransport,
  TransportListener,
} from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';

/** Where a test's transports are made: two channels that must not mix. */
export interface TransportSetup {
  here(): InvalidationTransport;
  elsewhere(): InvalidationTransport;
}

/** Writes down all that a transport tells, in order. */
export class RecordingListener implements TransportListener {
  readonly events: string[] = [];
  readonly payloads: string[] = [];
  readonly errors: Error[] = [];

  onMessage(payload: string): void {
    this.events.push('message');
    this.payloads.push(payload);
  }

  onSubscribed(): void {
    this.events.push('subscribed');
  }

  onLost(): void {
    this.events.push('lost');
  }

  onWritable(): void {
    this.events.push('writable');
  }

  onError(error: Error): void {
    this.events.push('error');
    this.errors.push(error);
  }
}

/** Starts a transport, waits until it hears and speaks, and closes it at the end. */
export async function startTransport(
  transport: InvalidationTransport,
): Promise<RecordingListener> {
  const listener = new RecordingListener();
  onTestFinished(() => transport.close());
  transport.start(listener);
  await eventually(() => {
    expect(listener.events).toContain('subscribed');
    expect(listener.events).toContain('writable');
  });
  return listener;
}

/** What every transport must do, whatever it is made of. */
export function transportContract(name: string, open: () => TransportSetup) {
  describe(`${name} keeps the contract of transports:`, () => {
    it('payloads arrive in order, also over many calls', async () => {
      const { here } = open();
      const sender = here();
      const own = await startTransport(sender);
      const other = await startTransport(here());
      const payloads = Array.from({ length: 600 }, (_, i) => `payload ${i}`);

      const calls = [];
      for (let from = 0; from < 600; from += 20) {
        calls.push(sender.publish(payloads.slice(from, from + 20)));
      }
      await Promise.all(calls);

      await eventually(() => expect(other.payloads).toHaveLength(600));
      expect(other.payloads).toEqual(payloads);
      await eventually(() => expect(own.payloads).toEqual(payloads));
    });

    it('any text arrives unchanged', async () => {
      const { here } = open();
      const sender = here();
      const own = await startTransport(sender);
      const payloads = [
        '',
        '{"a":1}',
        'ü 日本 🎉',
        '\u0000\r\n',
        'x'.repeat(1e6),
      ];

      await sender.publish(payloads);

      await eventually(() => expect(own.payloads).toEqual(payloads));
    });

    it('a reply for each payload says how many subscribers it reached', async () => {
      const { here, elsewhere } = open();
      const sender = here();
      const other = here();
      await startTransport(sender);
      await startTransport(other);
      await startTransport(elsewhere());

      expect(await sender.publish(['a', 'b', 'c'])).toEqual([2, 2, 2]);
      expect(await sender.publish([])).toEqual([]);

      await other.close();
      // The broker may notice a moment later.
      await eventually(async () =>
        expect(await sender.publish(['d'])).toEqual([1]),
      );
    });

    it('nothing is heard on another channel', async () => {
      const { here, elsewhere } = open();
      const sender = here();
      const stranger = elsewhere();
      const own = await startTransport(sender);
      const foreign = await startTransport(stranger);

      await sender.publish(['for here']);
      await stranger.publish(['for there']);

      await eventually(() => expect(foreign.payloads).toHaveLength(1));
      await eventually(() => expect(own.payloads).toHaveLength(1));
      expect(foreign.payloads).toEqual(['for there']);
      expect(own.payloads).toEqual(['for here']);
    });

    it('its own messages are heard too: who needs them once drops one', async () => {
      const transport = open().here();
      const listener = await startTransport(transport);

      expect(await transport.publish(['echo'])).toEqual([1]);

      await eventually(() => expect(listener.payloads).toEqual(['echo']));
    });

    it('the subscription is told before the first message', async () => {
      const { here } = open();
      const sender = here();
      await startTransport(sender);
      const listener = new RecordingListener();
      const late = here();
      onTestFinished(() => late.close());

      late.start(listener);
      await eventually(async () => {
        await sender.publish(['now']);
        expect(listener.events).toContain('message');
      });

      const order = listener.events.filter((event) => event !== 'writable');
      expect(order[0]).toBe('subscribed');
      expect(order.slice(1).every((event) => event === 'message')).toBe(true);
    });

    it('writable is what it is when it says so, and every event is told once', async () => {
      const transport = open().here();
      const writable: boolean[] = [];
      const listener = new RecordingListener();
      listener.onWritable = () => {
        listener.events.push('writable');
        writable.push(transport.writable);
      };
      onTestFinished(() => transport.close());

      transport.start(listener);
      await eventually(() => expect(listener.events).toHaveLength(2));
      await transport.publish(['a']);
      await eventually(() => expect(listener.events).toContain('message'));

      expect(writable).toEqual([true]);
      expect(listener.events.toSorted()).toEqual([
        'message',
        'subscribed',
        'writable',
      ]);
    });

    it('a publish before the start settles with errors or numbers', async () => {
      const transport = open().here();
      onTestFinished(() => transport.close());

      const replies = await transport.publish(['a', 'b']);

      expect(replies).toHaveLength(2);
      for (const reply of replies) {
        expect(typeof reply === 'number' || reply instanceof Error).toBe(true);
      }
      // And it did no harm.
      const listener = await startTransport(transport);
      await transport.publish(['c']);
      await eventually(() => expect(listener.payloads).toEqual(['c']));
    });

    it('a publish during and after the close settles', async () => {
      const transport = open().here();
      await startTransport(transport);

      const during = transport.publish(['a', 'b']);
      await transport.close();
      const after = transport.publish(['c', 'd', 'e']);

      expect(await during).toHaveLength(2);
      const replies = await after;
      expect(replies).toHaveLength(3);
      for (const reply of replies) expect(reply).toBeInstanceOf(Error);
    });

    it('nothing is told once it is closed', async () => {
      const { here } = open();
      const sender = here();
      const other = await startTransport(sender);
      const transport = here();
      const listener = await startTransport(transport);

      const closing = transport.close();
      const before = [...listener.events];
      await closing;
      await sender.publish(['unheard']);
      await eventually(() => expect(other.payloads).toEqual(['unheard']));
      await setImmediate();

      expect(listener.events).toEqual(before);
    });

    it('nothing is told if it is closed before it is connected', async () => {
      const { here } = open();
      const transport = here();
      const listener = new RecordingListener();

      transport.start(listener);
      await transport.close();
      const sender = here();
      await startTransport(sender);
      await eventually(async () =>
        expect(await sender.publish(['unheard'])).toEqual([1]),
      );

      expect(listener.events).toEqual([]);
    });

    it('closing it twice, or without a start, is fine', async () => {
      const { here } = open();
      const started = here();
      await startTransport(started);
      const unused = here();
      for (const transport of [started, started, unused, unused]) {
        await expect(transport.close()).resolves.toBeUndefined();
        expect(transport.writable).toBe(false);
      }
    });
  });
}
