import { Injectable } from '@nestjs/common';
import { InvalidatesCache } from 'nestjs-cache-invalidation';
import type { Notification } from './notification.js';

/** Notifications that are kept for each user. */
const KEPT = 20;

/** The notifications. In memory: they are not the subject of the demo. */
@Injectable()
export class NotificationsService {
  readonly #notifications = new Map<number, readonly Notification[]>();
  #lastId = 0;

  of(userId: number): readonly Notification[] {
    return this.#notifications.get(userId) ?? [];
  }

  /** The id of a `Notification` is that of the user, since others keep whole lists. */
  @InvalidatesCache('Notification', (userId: number) => userId)
  async add(userId: number, text: string): Promise<Notification> {
    const notification = { id: ++this.#lastId, text };
    const kept = [notification, ...this.of(userId)].slice(0, KEPT);
    this.#notifications.set(userId, kept);
    return notification;
  }
}
