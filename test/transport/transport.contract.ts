import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type {
  InvalidationTransport,
  PublishReply,
  TransportListener,
} from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';
import {
  about,
  chain,
  idsOf,
  linksOf,
  messageIdsOf,
  offsetsOf,
  read,
  receiversOf,
} from './messages.js';

/** Environment for a test's transports, with two separate channels. */
export interface TransportSetup {
  here(): InvalidationTransport;
  elsewhere(): InvalidationTransport;
}

/** Records all events of a transport, in order. */
export class RecordingListener implements TransportListener {
  readonly events: string[] = [];
  readonly payloads: string[] = [];
  readonly errors: Error[] = [];

  onMessage(payload: string): void {
    this.events.push('message');
    this.payloads.push(payload);
  }

  onUnverified(): void {
    this.events.push('unverified');
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

/**
 * Starts a transport, waits until it publishes and receives, and closes it at
 * the end.
 */
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

/** Requirements of every transport. */
export function transportContract(
  name: string,
  kind: { journaled: boolean },
  open: () => TransportSetup,
) {
  describe(`${name}: transport contract`, () => {
    it('knows before the start whether it keeps a journal', () => {
      const transport = open().here();
      onTestFinished(() => transport.close());
      expect(transport.journaled).toBe(kind.journaled);
    });

    it('delivers messages in order, over many calls too', async () => {
      const { here } = open();
      const sender = here();
      const own = await startTransport(sender);
      const other = await startTransport(here());
      const ids = Array.from({ length: 600 }, (_, i) => String(i));
      const payloads = ids.map((id) => about(id));

      const calls = [];
      for (let from = 0; from < 600; from += 20) {
        calls.push(sender.publish(payloads.slice(from, from + 20)));
      }
      await Promise.all(calls);

      await eventually(() => expect(other.payloads).toHaveLength(600));
      expect(idsOf(other.payloads)).toEqual(ids);
      await eventually(() => expect(own.payloads).toEqual(other.payloads));
    });

    it('delivers any content unchanged', async () => {
      const { here } = open();
      const sender = here();
      const own = await startTransport(sender);
      const payloads = [
        '1',
        '{"a":1}',
        'ü 日本 🎉',
        '\u0000\r\n%s%%',
        '","origin":"x"}',
        '","offset":"1-1","previous":"0-0"',
      ].map((id) => about(id, { text: id.repeat(3) }));
      payloads.push(about('large', 'x'.repeat(1e6)));

      await sender.publish(payloads);

      await eventually(() => expect(own.payloads).toHaveLength(7));
      const place = { offset: null, previous: null };
      expect(own.payloads.map((text) => ({ ...read(text), ...place }))).toEqual(
        payloads.map(read),
      );
    });

    it('replies with the number of receivers for each payload', async () => {
      const { here, elsewhere } = open();
      const sender = here();
      const other = here();
      await startTransport(sender);
      await startTransport(other);
      await startTransport(elsewhere());

      const replies = await sender.publish([about(1), about(2), about(3)]);
      expect(receiversOf(replies)).toEqual([2, 2, 2]);
      expect(await sender.publish([])).toEqual([]);

      await other.close();
      // The broker may notice this a moment later.
      await eventually(async () =>
        expect(receiversOf(await sender.publish([about(4)]))).toEqual([1]),
      );
    });

    it('delivers nothing of another channel', async () => {
      const { here, elsewhere } = open();
      const sender = here();
      const stranger = elsewhere();
      const own = await startTransport(sender);
      const foreign = await startTransport(stranger);

      await sender.publish([about('here')]);
      await stranger.publish([about('there')]);

      await eventually(() => expect(foreign.payloads).toHaveLength(1));
      await eventually(() => expect(own.payloads).toHaveLength(1));
      expect(idsOf(foreign.payloads)).toEqual(['there']);
      expect(idsOf(own.payloads)).toEqual(['here']);
    });

    it('delivers its own messages, too', async () => {
      const transport = open().here();
      const listener = await startTransport(transport);

      const replies = await transport.publish([about('echo')]);

      expect(receiversOf(replies)).toEqual([1]);
      await eventually(() =>
        expect(idsOf(listener.payloads)).toEqual(['echo']),
      );
    });

    it('reports the subscription before the first message', async () => {
      const { here } = open();
      const sender = here();
      await startTransport(sender);
      const listener = new RecordingListener();
      const late = here();
      onTestFinished(() => late.close());

      late.start(listener);
      await eventually(async () => {
        await sender.publish([about('now')]);
        expect(listener.events).toContain('message');
      });

      const order = listener.events.filter((event) => event !== 'writable');
      expect(order[0]).toBe('subscribed');
      expect(order.slice(1).every((event) => event === 'message')).toBe(true);
    });

    it('is writable when it reports so, and reports each event once', async () => {
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
      await transport.publish([about(1)]);
      await eventually(() => expect(listener.events).toContain('message'));

      expect(writable).toEqual([true]);
      expect(listener.events.toSorted()).toEqual([
        'message',
        'subscribed',
        'writable',
      ]);
    });

    it('ping() resolves after all earlier messages were received', async () => {
      const { here } = open();
      const sender = here();
      await startTransport(sender);
      const transport = here();
      const listener = await startTransport(transport);

      for (let round = 1; round <= 20; round++) {
        await sender.publish(Array.from({ length: 50 }, (_, i) => about(i)));
        await transport.ping();
        expect(listener.payloads).toHaveLength(round * 50);
      }
      expect(listener.events).not.toContain('lost');
    });

    it.each(['commands', 'subscription'] as const)(
      'works again after reconnect() of its %s',
      async (connection) => {
        const { here } = open();
        const transport = here();
        const listener = await startTransport(transport);

        transport.reconnect(connection);

        await eventually(async () => {
          await transport.publish([about('after')]);
          await transport.ping();
          expect(idsOf(listener.payloads)).toContain('after');
        });
      },
    );

    it('has no missing rights', async () => {
      const transport = open().here();
      await startTransport(transport);
      expect(await transport.missingRights()).toEqual([]);
    });

    it('settles a publish before the start', async () => {
      const transport = open().here();
      onTestFinished(() => transport.close());

      const replies = await transport.publish([about(1), about(2)]);

      expect(replies).toHaveLength(2);
      // Refused by Redis; in memory there is nothing to wait for.
      const outcome = (reply: PublishReply): unknown =>
        reply instanceof Error ? Error : reply.receivers;
      expect([Error, 0]).toContain(outcome(replies[0]!));
      expect(replies.map(outcome)).toEqual([
        outcome(replies[0]!),
        outcome(replies[0]!),
      ]);
      // The refused payload did no harm.
      const listener = await startTransport(transport);
      await transport.publish([about('c')]);
      await eventually(() => expect(idsOf(listener.payloads)).toEqual(['c']));
    });

    it('settles publishes during and after close()', async () => {
      const transport = open().here();
      await startTransport(transport);

      const during = transport.publish([about(1), about(2)]);
      await transport.close();
      const after = transport.publish([about(3), about(4), about(5)]);

      expect(await during).toHaveLength(2);
      const replies = await after;
      expect(replies).toHaveLength(3);
      for (const reply of replies) expect(reply).toBeInstanceOf(Error);
    });

    it('reports nothing after close()', async () => {
      const { here } = open();
      const sender = here();
      const other = await startTransport(sender);
      const transport = here();
      const listener = await startTransport(transport);

      const closing = transport.close();
      const before = [...listener.events];
      await closing;
      await sender.publish([about('unheard')]);
      await eventually(() => expect(other.payloads).toHaveLength(1));
      await setImmediate();

      expect(listener.events).toEqual(before);
    });

    it('reports nothing when it is closed before it is connected', async () => {
      const { here } = open();
      const transport = here();
      const listener = new RecordingListener();

      transport.start(listener);
      await transport.close();
      const sender = here();
      await startTransport(sender);
      await eventually(async () =>
        expect(receiversOf(await sender.publish([about(1)]))).toEqual([1]),
      );

      expect(listener.events).toEqual([]);
    });

    it('close() may be called twice, or without a start', async () => {
      const { here } = open();
      const started = here();
      await startTransport(started);
      const unused = here();
      for (const transport of [started, started, unused, unused]) {
        await expect(transport.close()).resolves.toBeUndefined();
        expect(transport.writable).toBe(false);
      }
    });

    describe.runIf(!kind.journaled)('without a journal', () => {
      it('delivers any text unchanged', async () => {
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

        expect(await sender.publish(payloads)).toEqual(
          payloads.map(() => ({ receivers: 1, offset: null })),
        );

        await eventually(() => expect(own.payloads).toEqual(payloads));
      });

      it('reads an empty journal', async () => {
        const transport = open().here();
        await startTransport(transport);
        await transport.publish([about(1)]);
        expect(await transport.readJournal('-', 10)).toEqual([]);
        expect(await transport.journalTail()).toBe('0-0');
      });
    });

    describe.runIf(kind.journaled)('with a journal', () => {
      it('gives each message an offset and the offset of its predecessor, across publishers', async () => {
        const { here } = open();
        const senders = [here(), here(), here()];
        const [listener] = await Promise.all(senders.map(startTransport));

        const calls = Array.from({ length: 60 }, (_, i) =>
          senders[i % 3]!.publish([about(i), about(i), about(i)]),
        );
        const replies = await Promise.all(calls);

        await eventually(() => expect(listener!.payloads).toHaveLength(180));
        const offsets = listener!.payloads.map((text) => read(text).offset!);
        expect(linksOf(listener!.payloads)).toEqual(chain('0-0', offsets));
        expect(replies.flatMap(offsetsOf).toSorted()).toEqual(
          offsets.toSorted(),
        );
        expect(new Set(offsets).size).toBe(180);
        // Each reply belongs to the payload at its index.
        for (const [at, call] of replies.entries()) {
          for (const offset of offsetsOf(call)) {
            const heard = listener!.payloads[offsets.indexOf(offset)]!;
            expect(read(heard).entityId).toBe(String(at));
          }
        }
      });

      it('returns published messages from the journal, in pages', async () => {
        const { here } = open();
        const transport = here();
        const listener = await startTransport(transport);
        expect(await transport.readJournal('-', 10)).toEqual([]);
        expect(await transport.journalTail()).toBe('0-0');

        const offsets = offsetsOf(
          await transport.publish(
            Array.from({ length: 25 }, (_, i) => about(i)),
          ),
        );

        expect(await transport.journalTail()).toBe(offsets.at(-1));
        await transport.ping();
        const entries = await transport.readJournal('-', 100);
        expect(entries.map(({ offset }) => offset)).toEqual(offsets);
        expect(entries.map(({ payload }) => payload)).toEqual(
          listener.payloads,
        );
        // The requested offset is included.
        expect(await transport.readJournal(offsets[7]!, 10)).toEqual(
          entries.slice(7, 17),
        );
        expect(await transport.readJournal('-', 3)).toEqual(
          entries.slice(0, 3),
        );
        expect(await transport.readJournal(offsets[24]!, 10)).toEqual(
          entries.slice(24),
        );
      });

      it('does not publish a message again that the journal has from an earlier try', async () => {
        const { here } = open();
        const transport = here();
        const listener = await startTransport(transport);
        const old = [about('a'), about('b'), about('c')];
        const [a, b, c] = offsetsOf(await transport.publish(old));

        const replies = await transport.publish(
          [old[1]!, about('new'), old[2]!, about('newer')],
          a,
        );

        expect(replies).toEqual([
          { receivers: null, offset: b },
          { receivers: 1, offset: expect.any(String) },
          { receivers: null, offset: c },
          { receivers: 1, offset: expect.any(String) },
        ]);
        await transport.ping();
        expect(idsOf(listener.payloads)).toEqual([
          'a',
          'b',
          'c',
          'new',
          'newer',
        ]);
        const [, fresh, , fresher] = offsetsOf(replies);
        expect(linksOf(listener.payloads).slice(-2)).toEqual([
          [c, fresh],
          [fresh, fresher],
        ]);
        // A search from the beginning finds the first entry as well.
        expect(receiversOf(await transport.publish(old, '-'))).toEqual([
          null,
          null,
          null,
        ]);
        expect(messageIdsOf(listener.payloads.slice(0, 3))).toEqual(
          messageIdsOf(old),
        );
      });
    });
  });
}
