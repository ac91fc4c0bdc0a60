import { NearCacheFactory } from 'nestjs-cache-invalidation';
import { expect, it, vi } from 'vitest';
import { LogRecorder, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

vi.mock('class-transformer', () => {
  throw new Error('Cannot find module');
});

it('option l2.type: reports once that class-transformer is missing, and stores nothing', async () => {
  class User {}
  const logger = new LogRecorder();
  const { context, publisher } = await startApp({ logger });
  await publisher.invalidate('Post', 1);
  const users = context
    .get(NearCacheFactory)
    .create<User>('User', { l2: { type: () => User } });
  for (const id of ['1', '2']) {
    expect(await users.get(id, () => new User())).toBeInstanceOf(User);
  }
  await eventually(() =>
    expect(logger.errors.join()).toContain('npm install class-transformer'),
  );
  expect(logger.errors).toHaveLength(1);
  expect(users.stats).toMatchObject({ size: 2, l2Unshared: 2, l2Errors: 0 });
});
