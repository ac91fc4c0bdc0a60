import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { ParseIdPipe } from '../shared/parse-id.pipe.js';
import { ServiceClient } from '../shared/service.client.js';
import type { User } from '../user-service/user.js';
import { NotificationCache } from './notification.cache.js';
import { NotificationDto } from './notification.dto.js';
import type { Notification, NotificationList } from './notification.js';
import { NotificationsService } from './notifications.service.js';

@Controller('users/:id/notifications')
export class NotificationsController {
  constructor(
    private readonly notifications: NotificationsService,
    private readonly cache: NotificationCache,
    private readonly services: ServiceClient,
  ) {}

  @Get()
  list(@Param('id', ParseIdPipe) userId: number): Promise<NotificationList> {
    return this.cache.get(userId, async () => {
      const user = await this.services.get<User>(
        'user-service',
        `/users/${userId}`,
      );
      return { to: user.name, notifications: this.notifications.of(userId) };
    });
  }

  @Post()
  add(
    @Param('id', ParseIdPipe) userId: number,
    @Body() { text }: NotificationDto,
  ): Promise<Notification> {
    return this.notifications.add(userId, text);
  }
}
