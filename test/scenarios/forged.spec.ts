import { randomUUID } from 'node:crypto';
import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { startApp, type AppOptions } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import {
  Hand,
  hears,
  NO_HEARTBEAT,
  summary,
  wire,
} from '../subscriber/setup.js';
import { startServer } from '../support/redis-server.js';

const FUTURE = '99999999999999-7';

/** An offset as far ahead as a clock may be. */
const soon = (): string => `${Date.now() + 30_000}-7`;

/** An own message, which ends with this instance's origin. */
const ownWire = (
  origin: string,
  offset: string,
  previous: string,
  id = 'forged',
): string => {
  const place = `"offset":"${offset}","previous":"${previous}","origin":"${origin}"}`;
  return `${wire(id).slice(0, -1)},${place}`;
};

async function startListening(options: AppOptions = { heartbeatInterval: 50 }) {
  const server = await startServer();
  const app = await startApp({ connection: server.url, ...options });
  const hand = new Hand(server, app.channel);
  const position = await hand.say('before');
  await hears(app, ['User:before']);
  const origin = await learnOrigin(hand, app);
  return { app, hand, origin, position };
}

/** Reads the origin from the channel, as any client can. */
async function learnOrigin(
  hand: Hand,
  { publisher }: Awaited<ReturnType<typeof startApp>>,
): Promise<string> {
  await publisher.invalidateUser('own');
  const [[, [, payload = '']] = ['', []]] = await hand.redis.xrevrange(
    hand.journal,
    '+',
    '-',
    'COUNT',
    1,
  );
  return JSON.parse(payload).origin;
}

async function tailOf(hand: Hand): Promise<string> {
  const [last] = await hand.redis.xrevrange(hand.journal, '+', '-', 'COUNT', 1);
  return last?.[0] ?? '0-0';
}

describe('Scenario: a message with forged offsets', () => {
  it.each<[string, (tail: string) => object, number]>([
    [
      'no offset at all, the right predecessor',
      (previous) => ({ offset: 'x', previous }),
      0,
    ],
    ['an empty offset', (previous) => ({ offset: '', previous }), 0],
    [
      'an offset of too many digits',
      (previous) => ({ offset: `${'9'.repeat(30)}-1`, previous }),
      0,
    ],
    ['an offset that is no text', (previous) => ({ offset: 17, previous }), 0],
    [
      'an offset far in the future, the right predecessor',
      (previous) => ({ offset: FUTURE, previous }),
      0,
    ],
    [
      'an offset of the next moment, the right predecessor',
      (previous) => ({ offset: soon(), previous }),
      1,
    ],
    [
      'an offset far in the future, a wrong predecessor',
      () => ({ offset: FUTURE, previous: '1-1' }),
      0,
    ],
    [
      'an offset far in the future, no predecessor',
      () => ({ offset: FUTURE }),
      0,
    ],
    [
      'an offset long ago, the right predecessor',
      (previous) => ({ offset: '0-1', previous }),
      0,
    ],
    [
      'an offset long ago, a wrong predecessor',
      () => ({ offset: '0-1', previous: '0-0' }),
      0,
    ],
    [
      'itself as its predecessor',
      () => ({ offset: FUTURE, previous: FUTURE }),
      0,
    ],
    [
      'a predecessor that is no text',
      () => ({ offset: FUTURE, previous: {} }),
      0,
    ],
  ])(
    'is delivered, and nothing after it is lost: %s',
    async (_, lie, widened) => {
      const { app, hand } = await startListening();
      const truth = ['User:before', 'User:own'];

      await hand.redis.publish(
        app.channel,
        wire('forged', lie(await tailOf(hand))),
      );
      await hand.say('after');
      // A widened message covers a message that arrives at the same time.
      const last = widened === 0 ? 'User:after' : 'missed';
      await eventually(() =>
        expect(new Set(summary(app))).toEqual(
          new Set([...truth, 'User:forged', last]),
        ),
      );
      await hand.say('on');
      await eventually(() => expect(summary(app).at(-1)).toBe('User:on'));
      // A lost last message is found as well.
      await hand.mumble('lost');

      await eventually(() => expect(summary(app).at(-1)).toBe('User:lost'));
      expect(app.stats.snapshot()).toMatchObject({ widened, malformed: 0 });
      expect(app.subscriber.status.state).toBe('live');
    },
  );
});

describe('Scenario: a load at a forged position', () => {
  it('is not stored in the second tier', async () => {
    const { app, hand } = await startListening(NO_HEARTBEAT);
    const users = app.context.get(NearCacheFactory).create('User', { l2: {} });
    const stored = async (id: string): Promise<number> =>
      (await hand.redis.keys(`*user:${id}`)).length;
    let loads = 0;
    const isShared = (): Promise<void> =>
      eventually(async () => {
        const id = `honest-${loads++}`;
        await users.get(id, async () => 1);
        await eventually(async () => expect(await stored(id)).toBe(1), {
          timeout: 100,
        });
      });
    await isShared();

    await hand.redis.publish(
      app.channel,
      wire('forged', { offset: soon(), previous: await tailOf(hand) }),
    );
    await eventually(() => expect(summary(app)).toContain('User:forged'));
    await users.get('1', async () => 1);
    // One message is widened, and everything afterwards works as before.
    await hand.say('after');
    await eventually(() => expect(summary(app).at(-1)).toBe('missed'));
    await isShared();

    expect(await stored('1')).toBe(0);
  });
});

describe('Scenario: a message with the origin of this instance', () => {
  it.each<[string, (origin: string, tail: string) => string]>([
    [
      'is not JSON',
      (origin) => `,"offset":"1-1","previous":"1-1","origin":"${origin}"}`,
    ],
    [
      'is half a message',
      (origin, tail) =>
        `{"message_id":"${ownWire(origin, FUTURE, tail).slice(60)}`,
    ],
    ['has no valid offset', (origin, tail) => ownWire(origin, 'x', tail)],
    ['has no valid predecessor', (origin) => ownWire(origin, FUTURE, 'x')],
    ['follows as the next', (origin, tail) => ownWire(origin, FUTURE, tail)],
    ['has no offsets', (origin) => `{"origin":"${origin}"}`],
    ['has nothing else', (origin) => `,"origin":"${origin}"}`],
    ['has an old offset', (origin) => ownWire(origin, '0-1', '0-0')],
  ])('loses nothing and stops nothing when it %s', async (_, forge) => {
    const { app, hand, origin } = await startListening();

    await hand.redis.publish(app.channel, forge(origin, await tailOf(hand)));
    await hand.say('after');
    // Or everything, if the forgery broke the chain.
    await eventually(() =>
      expect(summary(app).join()).toMatch(/User:after|missed|\*/),
    );
    await hand.say('on');
    await eventually(() => expect(summary(app)).toContain('User:on'));
    await hand.mumble('lost');

    await eventually(() => expect(summary(app)).toContain('User:lost'));
    expect(app.stats.snapshot().widened).toBeLessThanOrEqual(1);
    expect(await app.publisher.invalidateUser(randomUUID())).toMatchObject({
      status: 'delivered',
    });
  });
});
