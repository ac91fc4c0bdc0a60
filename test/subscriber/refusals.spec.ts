/** Applications on a Redis that answers, but refuses to write. */
import { expect, it } from 'vitest';
import { connectRaw, said, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';

describeOnRedisServer('While Redis refuses writes', () => {
  it.each([
    ['has no memory', ['maxmemory', '1'], ['maxmemory', '0']],
    [
      'lacks replicas',
      ['min-replicas-to-write', '1'],
      ['min-replicas-to-write', '0'],
    ],
  ])(
    'publishes without the journal when it %s, and again once writes work',
    async (...how) => {
      const [, refuse, mend] = how;
      const server = await startServer({ real: true });
      const raw = connectRaw(server.url);
      const writer = await startApp({ connection: server.url });
      const { channel } = writer;
      const reader = await startApp({ connection: server.url, channel });
      const heard = ({ messages }: TestApp): string[] => messages.map(said);

      await raw.config('SET', ...(refuse as [string, string]));
      for (const id of [1, 2]) {
        const { status } = await writer.publisher.invalidate('User', id);
        expect(status).toBe('queued');
      }
      const both = ['User:1', 'User:2'];
      await eventually(() => expect(heard(reader)).toEqual(both));
      expect(heard(writer)).toEqual(both);

      await raw.config('SET', ...(mend as [string, string]));
      await eventually(() => expect(writer.publisher.pending).toBe(0));
      await eventually(() => expect(heard(reader)).toEqual([...both, ...both]));
      expect(heard(writer)).toEqual(both);
    },
  );

  it('reports a journal that cannot be read', async () => {
    const server = await startServer();
    const app = await startApp({
      connection: server.url,
      heartbeatInterval: 20,
    });
    const raw = connectRaw(server.url);
    await raw.set(`{${app.channel}}:journal`, 'something else');
    await eventually(() => {
      const told = app.errors.map(({ message }) => message).join();
      expect(told).toContain('The end of the journal could not be read');
    });
  });
});
