import { Body, Controller, Get, Param, Put } from '@nestjs/common';
import { UsersService, type User } from './users.service';

@Controller('users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get(':id')
  async find(@Param('id') id: string): Promise<User & { loads: number }> {
    const user = await this.users.find(id);
    return { ...user, loads: this.users.loads };
  }

  @Put(':id')
  save(@Param('id') id: string, @Body() body: { name: string }): Promise<User> {
    return this.users.save({ id, name: body.name });
  }
}
