import {
  Body,
  Controller,
  Get,
  Param,
  Put,
  type OnModuleDestroy,
} from '@nestjs/common';
import {
  ClientProxyFactory,
  MessagePattern,
  Payload,
  Transport,
} from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';
import { UsersService, type User } from './users.service';

/** HTTP in front; reads and writes come to the service as messages over TCP. */
@Controller('users')
export class UsersController implements OnModuleDestroy {
  private readonly client = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { port: Number(process.env['MESSAGE_PORT']) },
  });

  constructor(private readonly users: UsersService) {}

  onModuleDestroy(): Promise<void> | void {
    return this.client.close();
  }

  @Get(':id')
  find(@Param('id') id: string): Promise<unknown> {
    return firstValueFrom(this.client.send('find', id));
  }

  @Put(':id')
  save(
    @Param('id') id: string,
    @Body() { name }: { name: string },
  ): Promise<unknown> {
    return firstValueFrom(this.client.send('save', { id, name }));
  }

  @MessagePattern('find')
  async answerFind(@Payload() id: string): Promise<User & { loads: number }> {
    return { ...(await this.users.find(id)), loads: this.users.loads };
  }

  @MessagePattern('save')
  answerSave(@Payload() user: User): Promise<User> {
    return this.users.save(user);
  }
}
