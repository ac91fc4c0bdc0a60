import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

/** Messages written by a service in Rust. */
const GOLDEN = readFileSync(
  new URL('../message/rust-messages.jsonl', import.meta.url),
  'utf8',
)
  .trim()
  .split('\n');

interface Wire {
  entity_type: string | { Custom: string };
}

describe('Scenario: a service in another language', () => {
  it('is understood in every kind of message', async () => {
    const app = await startApp();
    const foreigner = connectRaw();

    for (const line of GOLDEN) await foreigner.publish(app.channel, line);

    await eventually(() => expect(app.messages).toHaveLength(GOLDEN.length));
    expect(app.stats.snapshot()).toMatchObject({
      received: GOLDEN.length,
      malformed: 0,
      widened: 0,
    });
    for (const [index, line] of GOLDEN.entries()) {
      const wire: Wire & Record<string, unknown> = JSON.parse(line);
      const type = wire.entity_type;
      expect(app.messages[index]).toEqual({
        messageId: wire['message_id'],
        action: wire['action'],
        entityType: typeof type === 'string' ? type : type.Custom,
        entityId: wire['entity_id'],
        pattern: wire['pattern'],
        entityIds: wire['entity_ids'],
        timestamp: wire['timestamp'],
        sourceService: 'user-service',
        metadata: wire['metadata'],
        origin: null,
        offset: null,
        previous: null,
        trace: null,
        at: null,
        region: null,
        path: null,
        own: false,
        widened: null,
      });
    }
  });

  it('may omit optional fields, and add unknown ones', async () => {
    const app = await startApp();
    const brief = {
      message_id: '3497a5ba-f0f9-449b-a722-4780af419938',
      entity_type: 'User',
      entity_id: '1',
      action: 'Delete',
      timestamp: '2026-11-22T13:17:12Z',
      source_service: 'go-service',
      shard: 12,
    };

    await connectRaw().publish(app.channel, JSON.stringify(brief));

    await eventually(() =>
      expect(app.messages).toMatchObject([
        { entityType: 'User', entityId: '1', metadata: null, widened: null },
      ]),
    );
  });

  it.each([
    ['its entity type', { action: 'Expire' }, 'user:*'],
    ['everything', { action: 'Expire', entity_type: 'Galaxy' }, '*'],
    ['everything', { entity_type: { Shard: 3 } }, '*'],
  ])('of a newer version is widened to %s', async (_, change, pattern) => {
    const app = await startApp();
    const wire = { ...JSON.parse(GOLDEN[0]!), ...change };

    await connectRaw().publish(app.channel, JSON.stringify(wire));

    await eventually(() =>
      expect(app.messages).toMatchObject([
        { action: 'Pattern', pattern, widened: 'not-understood' },
      ]),
    );
  });

  it('receives messages in the documented wire format', async () => {
    const app = await startApp({ serviceName: 'node-service' });
    const heard: Record<string, unknown>[] = [];
    const foreigner = connectRaw();
    foreigner.on('message', (_channel, payload: string) =>
      heard.push(JSON.parse(payload)),
    );
    await foreigner.subscribe(app.channel);

    const { publisher } = app;
    await publisher.invalidateUser('ü:"1"\n');
    await publisher.update('Post', 456, { metadata: { depth: 2 } });
    await publisher.invalidateCustom('session', 'abc123');
    await publisher.invalidateBatch(['user:1', 'session:a:b']);
    await publisher.invalidatePattern('feed:user_123:*');
    await publisher.invalidateAll();

    await eventually(() => expect(heard).toHaveLength(6));
    const nothing = {
      entity_id: null,
      pattern: null,
      entity_ids: null,
      metadata: null,
    };
    const custom = (name: string) => ({ entity_type: { Custom: name } });
    const expected = [
      { action: 'Delete', entity_type: 'User', entity_id: 'ü:"1"\n' },
      {
        action: 'Update',
        entity_type: 'Post',
        entity_id: '456',
        metadata: { depth: 2 },
      },
      { action: 'Delete', ...custom('session'), entity_id: 'abc123' },
      {
        action: 'Batch',
        ...custom('batch'),
        entity_ids: ['user:1', 'session:a:b'],
      },
      { action: 'Pattern', ...custom('pattern'), pattern: 'feed:user_123:*' },
      { action: 'Pattern', ...custom('pattern'), pattern: '*' },
    ];
    for (const [index, said] of expected.entries()) {
      // No further fields, which a strict reader might reject.
      expect(heard[index]).toEqual({
        ...nothing,
        ...said,
        message_id: expect.stringMatching(
          /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        ),
        timestamp: expect.stringMatching(
          /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
        ),
        source_service: 'node-service',
        origin: expect.any(String),
        offset: expect.stringMatching(/^\d+-\d+$/),
        previous: index === 0 ? '0-0' : heard[index - 1]!['offset'],
      });
    }
  });
});
