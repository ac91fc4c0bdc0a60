import { Injectable, NotFoundException } from '@nestjs/common';
import { fromResult, InvalidatesCache } from 'nestjs-cache-invalidation';
import { Database } from '../shared/database.js';
import type { CreatePostDto, PostDto } from './post.dto.js';
import type { Post } from './post.js';

const COLUMNS = 'id, "authorId", title, archived, version';

@Injectable()
export class PostsService {
  constructor(private readonly database: Database) {}

  find(id: number): Promise<Post> {
    return this.#one(id, `SELECT ${COLUMNS} FROM sample_posts WHERE id = $1`, [
      id,
    ]);
  }

  /** Posts of these authors that are not archived, newest first. */
  findByAuthors(authorIds: number[]): Promise<Post[]> {
    return this.database.query(
      `SELECT ${COLUMNS} FROM sample_posts
       WHERE "authorId" = ANY($1) AND NOT archived ORDER BY id DESC`,
      [authorIds],
    );
  }

  /**
   * No instance has a copy of a new post, but the feeds of the author's
   * followers change.
   */
  @InvalidatesCache('Post', fromResult((post: Post) => post.id), {
    metadata: ({ authorId }: CreatePostDto) => ({ authorId }),
  })
  async create({ authorId, title }: CreatePostDto): Promise<Post> {
    const [post] = await this.database.query<Post>(
      `INSERT INTO sample_posts ("authorId", title) VALUES ($1, $2) RETURNING ${COLUMNS}`,
      [authorId, title],
    );
    return post!;
  }

  @InvalidatesCache('Post', (id: number) => id, { action: 'Update' })
  update(id: number, { title }: PostDto): Promise<Post> {
    return this.#one(
      id,
      `UPDATE sample_posts SET title = $2, version = version + 1
       WHERE id = $1 RETURNING ${COLUMNS}`,
      [id, title],
    );
  }

  /** Several ids are published in one message; no ids, no message. */
  @InvalidatesCache(
    'Post',
    fromResult((posts: Post[]) => posts.map(({ id }) => id)),
  )
  archiveAllOf(authorId: number): Promise<Post[]> {
    return this.database.query(
      `UPDATE sample_posts SET archived = true, version = version + 1
       WHERE "authorId" = $1 AND NOT archived RETURNING ${COLUMNS}`,
      [authorId],
    );
  }

  async #one(id: number, sql: string, parameters: unknown[]): Promise<Post> {
    const [post] = await this.database.query<Post>(sql, parameters);
    if (post === undefined) throw new NotFoundException(`No post ${id}.`);
    return post;
  }
}
