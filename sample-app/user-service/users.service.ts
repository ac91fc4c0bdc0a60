import { Injectable, NotFoundException } from '@nestjs/common';
import {
  fromResult,
  InvalidatesCache,
  InvalidatesCachePattern,
} from 'nestjs-cache-invalidation';
import { Database } from '../shared/database.js';
import type { UserDto } from './user.dto.js';
import type { User } from './user.js';

/** Each change is told to everybody once its row is committed. */
@Injectable()
export class UsersService {
  constructor(private readonly database: Database) {}

  async find(id: number): Promise<User> {
    return this.#one(
      id,
      'SELECT id, name, version FROM sample_users WHERE id = $1',
      [id],
    );
  }

  findAll(ids: number[]): Promise<User[]> {
    return this.database.query(
      'SELECT id, name, version FROM sample_users WHERE id = ANY($1) ORDER BY id',
      [ids],
    );
  }

  /** The id is known afterwards only. */
  @InvalidatesCache('User', fromResult((user: User) => user.id))
  async create({ name }: UserDto): Promise<User> {
    const [user] = await this.database.query<User>(
      'INSERT INTO sample_users (name) VALUES ($1) RETURNING id, name, version',
      [name],
    );
    return user!;
  }

  @InvalidatesCache('User', (id: number) => id, { action: 'Update' })
  async update(id: number, { name }: UserDto): Promise<User> {
    return this.#one(
      id,
      `UPDATE sample_users SET name = $2, version = version + 1
       WHERE id = $1 RETURNING id, name, version`,
      [id, name],
    );
  }

  /** With the user goes every page of the user's feed, however many there are. */
  @InvalidatesCache('User', (id: number) => id)
  @InvalidatesCachePattern((id: number) => `feed:${id}:*`)
  async remove(id: number): Promise<void> {
    await this.#one(id, 'DELETE FROM sample_users WHERE id = $1 RETURNING id', [
      id,
    ]);
  }

  async #one(id: number, sql: string, parameters: unknown[]): Promise<User> {
    const [user] = await this.database.query<User>(sql, parameters);
    if (user === undefined) throw new NotFoundException(`No user ${id}.`);
    return user;
  }
}
