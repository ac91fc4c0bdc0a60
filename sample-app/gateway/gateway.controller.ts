import {
  Controller,
  DefaultValuePipe,
  Get,
  Param,
  Query,
  UseInterceptors,
} from '@nestjs/common';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import { Copies } from './copies.js';
import { SourceInterceptor } from './source.interceptor.js';
import { UserCopies } from './user.copies.js';

@Controller()
@UseInterceptors(SourceInterceptor)
export class GatewayController {
  constructor(
    private readonly users: UserCopies,
    private readonly copies: Copies,
  ) {}

  @Get('users/:id')
  user(@Param('id', ParseIdPipe) id: number): Promise<unknown> {
    return this.users.find(id);
  }

  @Get('posts/:id')
  post(@Param('id', ParseIdPipe) id: number): Promise<unknown> {
    return this.copies.post(id);
  }

  @Get('feeds/:userId')
  feed(
    @Param('userId', ParseIdPipe) userId: number,
    @Query('page', new DefaultValuePipe('1'), ParseIdPipe) page: number,
  ): Promise<unknown> {
    return this.copies.feed(userId, page);
  }

  @Get('notifications/:userId')
  notifications(
    @Param('userId', ParseIdPipe) userId: number,
  ): Promise<unknown> {
    return this.copies.notifications(userId);
  }
}
