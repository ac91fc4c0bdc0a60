import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Post,
  Put,
  Query,
} from '@nestjs/common';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import { ParseIdsPipe } from '../shared/parse-ids.pipe.js';
import { RenamesDto, UserDto } from './user.dto.js';
import type { User } from './user.js';
import { UsersService } from './users.service.js';

@Controller('users')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get()
  findAll(@Query('ids', ParseIdsPipe) ids: number[]): Promise<User[]> {
    return this.users.findAll(ids);
  }

  @Get(':id')
  find(@Param('id', ParseIdPipe) id: number): Promise<User> {
    return this.users.find(id);
  }

  @Post()
  create(@Body() user: UserDto): Promise<User> {
    return this.users.create(user);
  }

  @Put()
  updateAll(@Body() { users }: RenamesDto): Promise<User[]> {
    return this.users.updateAll(users);
  }

  @Put(':id')
  update(
    @Param('id', ParseIdPipe) id: number,
    @Body() user: UserDto,
  ): Promise<User> {
    return this.users.update(id, user);
  }

  @Delete(':id')
  @HttpCode(204)
  remove(@Param('id', ParseIdPipe) id: number): Promise<void> {
    return this.users.remove(id);
  }
}
