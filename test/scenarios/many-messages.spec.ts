import { describe, expect, it } from 'vitest';
import { startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const THOUSAND = Array.from({ length: 1_000 }, (_, i) => String(i));

describe('Scenario: a thousand messages', () => {
  it('arrive in the order of publication', async () => {
    const writer = await startApp();
    const reader = await startApp({ channel: writer.channel });

    const publishing: Promise<unknown>[] = [];
    for (const id of THOUSAND) {
      publishing.push(writer.publisher.invalidateUser(id));
      // Some messages leave together and some alone.
      if (Number(id) % 7 === 0) await publishing.at(-1);
    }
    await Promise.all(publishing);

    await eventually(() => expect(reader.messages).toHaveLength(1_000));
    expect(reader.messages.map(({ entityId }) => entityId)).toEqual(THOUSAND);
    expect(writer.messages.map(({ entityId }) => entityId)).toEqual(THOUSAND);
  });

  it('of five services all arrive, in the order of each, with the name of the service', async () => {
    const reader = await startApp();
    const names = ['users', 'posts', 'feeds', 'search', 'mail'];
    const writers = await Promise.all(
      names.map((serviceName) =>
        startApp({ channel: reader.channel, serviceName }),
      ),
    );

    await Promise.all(
      writers.map(async ({ publisher }) => {
        for (const id of THOUSAND.slice(0, 200)) {
          await publisher.invalidate('order', id);
        }
      }),
    );

    await eventually(() => expect(reader.messages).toHaveLength(1_000));
    for (const name of names) {
      const ids = reader.messages
        .filter(({ sourceService }) => sourceService === name)
        .map(({ entityId }) => entityId);
      expect(ids).toEqual(THOUSAND.slice(0, 200));
    }
    const messageIds = reader.messages.map(({ messageId }) => messageId);
    expect(new Set(messageIds).size).toBe(1_000);
  });

  it('are counted and measured', async () => {
    // A busy machine must not send messages to the outbox.
    const writer = await startApp({ publishTimeout: 10_000 });
    const reader = await startApp({ channel: writer.channel });

    for (const id of THOUSAND) await writer.publisher.invalidateUser(id);
    await eventually(() => expect(reader.messages).toHaveLength(1_000));

    const sent = writer.stats.snapshot();
    const heard = reader.stats.snapshot();
    expect(sent).toMatchObject({
      published: 1_000,
      queued: 0,
      received: 0,
      delivered: 1_000,
      publishErrors: 0,
      widened: 0,
    });
    expect(heard).toMatchObject({ received: 1_000, delivered: 1_000 });
    expect(heard.latency.propagation.count).toBe(1_000);
    const show = ({ p50, p99, max }: typeof sent.latency.publish): string =>
      `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
    console.log(
      `Latency, one message at a time. Publish: ${show(sent.latency.publish)}. ` +
        `To another instance: ${show(heard.latency.propagation)}.`,
    );
  });
});
