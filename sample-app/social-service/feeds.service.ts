import { Injectable, NotFoundException } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import {
  glob,
  InvalidatesCachePattern,
  InvalidationPublisher,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { LoadsInFlight } from '../shared/loads-in-flight.js';
import { FeedBuilder } from './feed.builder.js';
import {
  mustChange,
  pageKeysOf,
  pageOf,
  pagesOf,
  type Feed,
  type FeedPage,
} from './feed.js';
import { FollowsService } from './follows.service.js';

/** Prepared feeds, rebuilt when users and posts change, not when they are read. */
@Injectable()
export class FeedsService {
  readonly #feeds = new LRUCache<number, Feed>({ max: 1_000 });
  readonly #loads = new LoadsInFlight<Feed>();

  constructor(
    private readonly builder: FeedBuilder,
    private readonly follows: FollowsService,
    private readonly publisher: InvalidationPublisher,
  ) {}

  async page(userId: number, page: number): Promise<FeedPage> {
    const found = pageOf(
      this.#feeds.get(userId) ?? (await this.#load(userId)),
      page,
    );
    if (found === null) {
      throw new NotFoundException(`The feed of ${userId} has no page ${page}.`);
    }
    return found;
  }

  /** Publishes that all pages have changed: their new number is not known yet. */
  @InvalidatesCachePattern((userId: number) => glob`feed:${userId}:*`)
  follow(userId: number, followeeId: number): void {
    this.follows.add(userId, followeeId);
    this.#drop([userId]);
  }

  /**
   * Rebuilds the feeds that show the changed user or post, then publishes their
   * pages: in this order, a read after the message gets the new feed.
   */
  @OnInvalidation(['User', 'Post'])
  async regenerate(message: InvalidationMessage): Promise<void> {
    if (message.action === 'Pattern') return this.#dropAll();
    const old = [...this.#feeds.values()].filter((feed) =>
      mustChange(feed, message),
    );
    this.#drop(old.map(({ userId }) => userId));
    const pages = await Promise.all(old.map((feed) => this.#rebuild(feed)));
    await this.publisher.invalidateBatch(pages.flat());
  }

  /**
   * Drops all feeds, which are too many to rebuild at once: the next read of
   * each rebuilds it.
   */
  async #dropAll(): Promise<void> {
    this.#drop([...this.#feeds.keys()]);
    await this.publisher.invalidatePattern('feed:*');
  }

  /** @returns the cache keys of all old and new pages */
  async #rebuild(old: Feed): Promise<string[]> {
    // A removed user has no feed. If the feed cannot be built for another reason,
    // the old pages must be evicted all the same; the next read tries again.
    const feed = await this.#load(old.userId).catch(() => old);
    return pageKeysOf(old.userId, Math.max(pagesOf(old), pagesOf(feed)));
  }

  #load(userId: number): Promise<Feed> {
    return this.#loads.run(
      String(userId),
      () => this.builder.build(userId),
      (feed) => this.#feeds.set(userId, feed),
    );
  }

  /** Drops these feeds and all loads under way, whose content is not known yet. */
  #drop(userIds: readonly number[]): void {
    this.#loads.forget(() => true);
    for (const userId of userIds) this.#feeds.delete(userId);
  }
}
