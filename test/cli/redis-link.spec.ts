import { InvalidationTimeoutError } from 'nestjs-cache-invalidation';
import { expect, it } from 'vitest';
import { RedisLink } from '../../lib/cli/redis-link.js';
import { targetFrom } from '../../lib/cli/target.js';

const linkTo = (timeout: string): RedisLink =>
  new RedisLink(targetFrom({ url: 'redis://127.0.0.1:1', timeout }, {}));

const timers = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

const never = new Promise<never>(() => {});

it('RedisLink.within() rejects after --timeout', async () => {
  const link = linkTo('10ms');
  await expect(link.within('a question', never)).rejects.toThrow(
    InvalidationTimeoutError,
  );
  await expect(link.within('a question', never)).rejects.toThrow(
    'Redis has not answered a question for 10 ms.',
  );
  link.close();
});

it('RedisLink leaves no timer behind', async () => {
  const before = timers();
  const link = linkTo('1h');
  link.within('a question', never).catch(() => undefined);
  await link.within('another', Promise.resolve());
  expect(timers()).toBe(before + 1);
  link.close();
  expect(timers()).toBe(before);
});

it.each([
  [{ url: 'redis://u:p@h:1' }, 'redis://h:1'],
  [{ url: 'rediss://u:p@h' }, 'rediss://h'],
  [{ url: 'redis://u:p@h:1', cluster: true }, 'redis://h:1 (cluster)'],
  [
    { url: 'redis://u:p@h:1', sentinel: 'a:1,b', name: 'm' },
    'm, by the Sentinels a:1,b',
  ],
])('targetFrom() describes %j without the password', (values, where) => {
  expect(targetFrom(values, {}).where).toBe(where);
});

it('targetFrom() applies user, password and TLS to a cluster and to Sentinel', () => {
  const url = 'rediss://me:p%40ss@h:1';
  const credentials = { username: 'me', password: 'p@ss', tls: {} };
  expect(targetFrom({ url, cluster: true }, {}).connection).toEqual({
    cluster: {
      nodes: [{ host: 'h', port: 1 }],
      options: { redisOptions: credentials },
    },
  });
  expect(targetFrom({ url, sentinel: 'a,[::1]:2' }, {}).connection).toEqual({
    sentinels: [
      { host: 'a', port: 26_379 },
      { host: '::1', port: 2 },
    ],
    name: 'mymaster',
    ...credentials,
  });
});
