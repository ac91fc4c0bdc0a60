import { InjectQueue } from '@nestjs/bullmq';
import { Body, Controller, Get, Param, Put } from '@nestjs/common';
import { type Queue, QueueEvents } from 'bullmq';
import { UsersService, type User } from './users.service';

const connection = { url: process.env['REDIS_URL'] };

/**
 * Writes are jobs: any instance may take them, and the others receive the
 * invalidation.
 */
@Controller('users')
export class UsersController {
  private readonly events = new QueueEvents('users', { connection });

  constructor(
    private readonly users: UsersService,
    @InjectQueue('users') private readonly jobs: Queue,
  ) {}

  onModuleDestroy(): Promise<void> {
    return this.events.close();
  }

  @Get(':id')
  async find(@Param('id') id: string): Promise<User & { loads: number }> {
    return { ...(await this.users.find(id)), loads: this.users.loads };
  }

  @Put(':id')
  async save(
    @Param('id') id: string,
    @Body() { name }: { name: string },
  ): Promise<unknown> {
    const job = await this.jobs.add('save', { id, name });
    return job.waitUntilFinished(this.events);
  }
}
