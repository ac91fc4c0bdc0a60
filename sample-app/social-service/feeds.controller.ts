import {
  Controller,
  DefaultValuePipe,
  Get,
  HttpCode,
  Param,
  Put,
  Query,
} from '@nestjs/common';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import type { FeedPage } from './feed.js';
import { FeedsService } from './feeds.service.js';

@Controller('users/:id')
export class FeedsController {
  constructor(private readonly feeds: FeedsService) {}

  @Get('feed')
  page(
    @Param('id', ParseIdPipe) userId: number,
    @Query('page', new DefaultValuePipe('1'), ParseIdPipe) page: number,
  ): Promise<FeedPage> {
    return this.feeds.page(userId, page);
  }

  @Put('following/:followeeId')
  @HttpCode(204)
  follow(
    @Param('id', ParseIdPipe) userId: number,
    @Param('followeeId', ParseIdPipe) followeeId: number,
  ): void {
    this.feeds.follow(userId, followeeId);
  }
}
