import { Processor, WorkerHost } from '@nestjs/bullmq';
import type { Job } from 'bullmq';
import { UsersService, type User } from './users.service';

@Processor('users')
export class UsersProcessor extends WorkerHost {
  constructor(private readonly users: UsersService) {
    super();
  }

  process(job: Job<User>): Promise<User> {
    return this.users.save(job.data);
  }
}
