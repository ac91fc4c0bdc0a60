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

/** What is kept of one user's feed. */
export interface Feed {
  readonly userId: number;
  readonly followeeIds: readonly number[];
  readonly items: readonly FeedItem[];
}

/** What is served of it. */
export interface FeedPage {
  readonly page: number;
  readonly pages: number;
  readonly items: readonly FeedItem[];
}

/** There is a first page even if it is empty. */
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

/** The cache key of each page, under which the gateway keeps it. */
export function pageKeysOf(userId: number, pages: number): string[] {
  return Array.from({ length: pages }, (_, index) =>
    buildCacheKey('Feed', `${userId}:${index + 1}`),
  );
}

/** Whether the feed shows what changed, or has to show what is new. */
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
 * A post that no feed shows yet: content-service says who wrote it. Others may
 * publish posts without saying so, and then it may be for anybody.
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
