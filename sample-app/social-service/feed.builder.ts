import { Injectable } from '@nestjs/common';
import type { Post } from '../content-service/post.js';
import { ServiceClient } from '../shared/service.client.js';
import type { User } from '../user-service/user.js';
import type { Feed } from './feed.js';
import { FollowsService } from './follows.service.js';

/**
 * Builds a feed from the rows of users and posts. It reads them from their owners and
 * not from the gateway, whose copies the same message is about to evict.
 */
@Injectable()
export class FeedBuilder {
  constructor(
    private readonly follows: FollowsService,
    private readonly services: ServiceClient,
  ) {}

  /** @throws NotFoundException for an unknown user */
  async build(userId: number): Promise<Feed> {
    const followeeIds = this.follows.of(userId);
    const [users, posts] = await Promise.all([
      this.#users([userId, ...followeeIds]),
      this.#posts(followeeIds),
    ]);
    const names = new Map(users.map(({ id, name }) => [id, name]));
    const items = posts.flatMap(({ id: postId, title, authorId }) => {
      const author = names.get(authorId);
      return author === undefined ? [] : [{ postId, title, author }];
    });
    return { userId, followeeIds, items };
  }

  async #users([userId, ...others]: [number, ...number[]]): Promise<User[]> {
    const user = this.services.get<User>('user-service', `/users/${userId}`);
    if (others.length === 0) return [await user];
    const followees = this.services.get<User[]>(
      'user-service',
      `/users?ids=${others.join(',')}`,
    );
    const [first, rest] = await Promise.all([user, followees]);
    return [first, ...rest];
  }

  #posts(authorIds: number[]): Promise<Post[]> {
    if (authorIds.length === 0) return Promise.resolve([]);
    return this.services.get<Post[]>(
      'content-service',
      `/posts?authors=${authorIds.join(',')}`,
    );
  }
}
