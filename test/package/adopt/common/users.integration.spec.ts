import { Test } from '@nestjs/testing';
import {
  CacheInvalidationTestingModule,
  InMemoryBroker,
  invalidationMatchers,
  settled,
} from 'nestjs-cache-invalidation/testing';
import { UsersService } from './users.service';

expect.extend(invalidationMatchers);

it('keeps what it found until somebody else changes it', async () => {
  const module = await Test.createTestingModule({
    imports: [CacheInvalidationTestingModule.register()],
    providers: [UsersService],
  }).compile();
  const app = await module.init();
  const service = app.get(UsersService);
  const broker = app.get(InMemoryBroker);
  const id = `integration-${process.pid}`;

  await service.find(id);
  await service.find(id);
  expect(service.loads).toBe(1);

  await service.save({ id, name: 'Ada' });
  expect(broker).toHaveInvalidated('User', id);
  expect(broker).not.toHaveInvalidated('User', 'another');
  expect((await service.find(id)).name).toBe('Ada');
  expect(service.loads).toBe(2);

  broker.cut();
  await service.find(id);
  broker.heal();
  await settled(app);
  expect(service.loads).toBe(2);

  await app.close();
});
