import { Test, type TestingModule } from '@nestjs/testing';
import { UsersService } from './users.service';

// The test that `nest g service` writes.
describe('UsersService', () => {
  let service: UsersService;

  beforeEach(async () => {
    const module: TestingModule = await Test.createTestingModule({
      providers: [UsersService],
    }).compile();

    service = module.get<UsersService>(UsersService);
  });

  it('should be defined', () => {
    expect(service).toBeDefined();
  });

  it('reads what it saved, and reads it anew each time', async () => {
    const id = `spec-${process.pid}`;
    expect((await service.find(id)).name).toBe('nobody');
    await service.save({ id, name: 'Ada' });
    expect((await service.find(id)).name).toBe('Ada');
    expect(service.loads).toBe(2);
  });
});
