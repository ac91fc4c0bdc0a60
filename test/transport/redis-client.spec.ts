import { describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  ManagedRedis,
  openCommands,
  type ManagedRedisOptions,
} from '../../lib/transport/index.js';
import { connectRaw, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';

interface Setup {
  readonly redis: ManagedRedis;
  readonly proxy: Proxy;
  readonly errors: string[];
  readonly abandoned: string[];
}

async function open(options: Partial<ManagedRedisOptions>): Promise<Setup> {
  const { port } = new URL(inject('redisUrl'));
  const proxy = await startProxy(Number(port));
  onTestFinished(() => proxy.close());
  const errors: string[] = [];
  const abandoned: string[] = [];
  const redis = new ManagedRedis(openCommands(proxy.url), {
    answerTimeout: 100,
    lateError: () => new Error('late'),
    brokenError: () => new Error('broken'),
    reopenWhenLate: false,
    onAbandoned: ({ message }) => abandoned.push(message),
    onError: ({ message }) => errors.push(message),
    ...options,
  });
  onTestFinished(() => redis.close(new Error('closed')));
  redis.open();
  await eventually(() => expect(redis.writable).toBe(true));
  return { redis, proxy, errors, abandoned };
}

const never = new Promise<never>(() => {});

describe('ManagedRedis', () => {
  it('fails only a late command, and keeps the connection open', async () => {
    const { redis, errors, abandoned } = await open({});
    const id = await redis.answered(redis.client.client('ID'));
    const late = redis.answered(never);
    const resolved = redis.answered(redis.client.ping());
    await expect(late).rejects.toThrow('late');
    expect(await resolved).toBe('PONG');
    expect(abandoned).toEqual(['late']);
    expect(errors).toEqual([]);
    expect(await redis.client.client('ID')).toBe(id);
  });

  it("uses a command's own timeout error instead of the default", async () => {
    const { redis } = await open({});
    const late = redis.answered(never, () => new Error('no PING'));
    await expect(late).rejects.toThrow('no PING');
  });

  it('with reopenWhenLate: fails all commands after a late one, and reconnects', async () => {
    const { redis, errors } = await open({ reopenWhenLate: true });
    const id = await redis.client.client('ID');
    const late = [redis.answered(never), redis.answered(never)];
    for (const { status } of await Promise.allSettled(late)) {
      expect(status).toBe('rejected');
    }
    // Reported once: the second command failed with the connection.
    expect(errors).toEqual(['late']);
    expect(redis.writable).toBe(false);
    await eventually(async () =>
      expect(await redis.client.client('ID')).not.toBe(id),
    );
  });

  it('fails commands in flight when the connection breaks, and reconnects', async () => {
    const { redis, proxy, abandoned } = await open({ answerTimeout: 60_000 });
    proxy.swallow('down');
    const reading = Promise.allSettled([redis.answered(redis.client.get('a'))]);
    await eventually(() => expect(proxy.swallowed).toBeGreaterThan(0));
    proxy.pass();
    proxy.cut();
    expect(await reading).toMatchObject([{ reason: { message: 'broken' } }]);
    expect(abandoned).toContain('broken');
    await eventually(() => expect(redis.writable).toBe(true));
  });

  it('replaces the connection once, however often reopen() is called', async () => {
    const { redis } = await open({});
    const id = await redis.client.client('ID');
    for (let i = 0; i < 20; i++) redis.reopen();
    expect(redis.writable).toBe(false);
    await eventually(() => expect(redis.writable).toBe(true));
    expect(await redis.client.client('ID')).not.toBe(id);
  });

  it('passes errors of Redis on without the command', async () => {
    const { redis } = await open({});
    const key = uniqueChannel();
    await connectRaw().set(key, 'text');
    const error: unknown = await redis
      .answered(redis.client.lpop(key))
      .catch((reason: unknown) => reason);
    expect(String(error)).toContain('WRONGTYPE');
    expect(error).not.toHaveProperty('command');
  });

  it('fails commands in flight at close(), and reports nothing afterwards', async () => {
    const { redis, proxy, errors } = await open({ answerTimeout: 60_000 });
    const reading = redis.answered(never);
    redis.close(new Error('closed'));
    await expect(reading).rejects.toThrow('closed');
    expect(redis.writable).toBe(false);
    await eventually(() => expect(proxy.links).toBe(0));
    redis.reopen();
    expect(errors).toEqual([]);
  });
});
