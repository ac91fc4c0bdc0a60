import { expect, it } from 'vitest';
import { connectRaw, LogRecorder, said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

const VALID = {
  message_id: '3497a5ba-f0f9-449b-a722-4780af419938',
  entity_type: 'User',
  entity_id: '1',
  action: 'Delete',
  timestamp: '2026-11-22T13:17:12Z',
  source_service: 'broken-service',
};

/** Payloads that are each invalid in a different way. */
const GARBAGE: (string | Buffer)[] = [
  '',
  ' ',
  'hello',
  'null',
  'true',
  '42',
  '"text"',
  '[]',
  '{}',
  '{"message_id"',
  Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  '\u0000'.repeat(100),
  '['.repeat(100_000),
  '{"a":'.repeat(50_000),
  '{"__proto__":{"polluted":true}}',
  `${JSON.stringify(VALID)}${JSON.stringify(VALID)}`,
  JSON.stringify([VALID]),
  ...Object.keys(VALID)
    .filter((field) => field !== 'entity_id')
    .map((field) => JSON.stringify({ ...VALID, [field]: undefined })),
  ...Object.keys(VALID).map((field) =>
    JSON.stringify({ ...VALID, [field]: 42 }),
  ),
  JSON.stringify({ ...VALID, message_id: 'not-a-uuid' }),
  JSON.stringify({ ...VALID, timestamp: 'yesterday' }),
  JSON.stringify({ ...VALID, timestamp: '2026-13-22T13:17:12Z' }),
  JSON.stringify({ ...VALID, entity_ids: 'user:1' }),
  JSON.stringify({ ...VALID, entity_ids: [1, 2] }),
  JSON.stringify({ ...VALID, pattern: {} }),
  `{"__proto__":null,${JSON.stringify(VALID).slice(1)}`,
  JSON.stringify(VALID).replace('"1"', '"\\ud800"'),
];

it('Scenario: many invalid payloads are counted and logged once a second', async () => {
  const log = new LogRecorder();
  const app = await startApp({ logger: log });
  const writer = await startApp({ channel: app.channel, logger: log });
  const vandal = connectRaw();
  const begun = performance.now();

  const flood = vandal.pipeline();
  for (let i = 0; i < 1_000; i++) {
    flood.publish(app.channel, GARBAGE[i % GARBAGE.length]!);
  }
  await flood.exec();
  // The content of so large a message is unknown: everything is evicted.
  await vandal.publish(app.channel, 'x'.repeat(10 * 1_048_576));
  await writer.publisher.invalidateUser('after');

  await eventually(() =>
    expect(app.messages.map(said)).toEqual(['*', 'User:after']),
  );
  expect(app.stats.snapshot()).toMatchObject({ malformed: 1_001, received: 1 });
  // A hundred errors a second are published; the others are only counted.
  expect(app.errors.length).toBeGreaterThanOrEqual(100);
  expect(app.errors.length).toBeLessThan(1_001);
  expect(new Set(app.errors.map(({ code }) => code))).toEqual(
    new Set(['CACHE_INVALIDATION_INVALID_MESSAGE']),
  );
  expect(app.subscriber.status.state).toBe('live');

  const seconds = Math.ceil((performance.now() - begun) / 1_000);
  // Two applications receive it, and each may log once a second.
  expect(log.errors.length).toBeGreaterThanOrEqual(2);
  expect(log.errors.length).toBeLessThanOrEqual(2 * (seconds + 1));
  // Logs must not contain parts of a payload.
  expect(log.errors.join()).not.toContain('not-a-uuid');
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});
