import {
  affects,
  buildCacheKey,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';

const PAGE_SIZE = 5;

export interface FeedItem {
  readonly postId: number;
  readonly title: string;
  readonly author: string;
}

/** The prepared feed of one user. */
export interface Feed {
  readonly userId: number;
  readonly followeeIds: readonly number[];
  readonly items: readonly FeedItem[];
}

/** One page of a feed, as it is served. */
export interface FeedPage {
  readonly page: number;
  readonly pages: number;
  readonly items: readonly FeedItem[];
}

/** Number of pages: at least one, which may be empty. */
export function pagesOf({ items }: Feed): number {
  return Math.max(1, Math.ceil(items.length / PAGE_SIZE));
}

/** @returns `null` beyond the last page */
export function pageOf(feed: Feed, page: number): FeedPage | null {
  const pages = pagesOf(feed);
  if (page > pages) return null;
  const items = feed.items.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE);
  return { page, pages, items };
}

/** The cache keys under which the gateway keeps the pages. */
export function pageKeysOf(userId: number, pages: number): string[] {
  return Array.from({ length: pages }, (_, index) =>
    buildCacheKey('Feed', `${userId}:${index + 1}`),
  );
}

/** Whether the feed shows the changed entity, or has to show a new one. */
export function mustChange(feed: Feed, message: InvalidationMessage): boolean {
  const shown = [
    ...[feed.userId, ...feed.followeeIds].map((id) =>
      buildCacheKey('User', id),
    ),
    ...feed.items.map(({ postId }) => buildCacheKey('Post', postId)),
  ];
  return shown.some((key) => affects(message, key)) || isNewTo(feed, message);
}

/**
 * Whether the feed has to show a new post: content-service adds its author to the
 * message. Other publishers may not, and then any feed may have to show it.
 */
function isNewTo(feed: Feed, message: InvalidationMessage): boolean {
  if (message.entityType !== 'Post' || message.action !== 'Delete')
    return false;
  const authorId = authorOf(message.metadata);
  return authorId === null || feed.followeeIds.includes(authorId);
}

function authorOf(metadata: unknown): number | null {
  return typeof metadata === 'object' &&
    metadata !== null &&
    'authorId' in metadata &&
    typeof metadata.authorId === 'number'
    ? metadata.authorId
    : null;
}
