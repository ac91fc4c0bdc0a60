import { Injectable, NotFoundException } from '@nestjs/common';
import {
  entity,
  InvalidatesCache,
  InvalidationPublisher,
  glob,
  pattern,
  type Invalidation,
  type StoredInvalidation,
} from 'nestjs-cache-invalidation';
import { Database, type Queries } from '../shared/database.js';
import type { RenameDto, UserDto } from './user.dto.js';
import type { User } from './user.js';
import { UsersOutbox } from './users.outbox.js';

/**
 * Two ways to publish the changes of a transaction. A new name is published by a
 * decorated method, whose invalidation is held back until the commit: short, and lost
 * only if the process is killed right after the commit. A new or removed user is
 * published through a table, written in the same transaction: longer, and never lost.
 */
@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    private readonly outbox: UsersOutbox,
    private readonly publisher: InvalidationPublisher,
  ) {}

  find(id: number): Promise<User> {
    return one(
      this.database,
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

  update(id: number, { name }: UserDto): Promise<User> {
    return this.database.transaction((transaction) =>
      this.rename(transaction, id, name),
    );
  }

  /** All or none: an unknown user rolls back the others, and nothing is published. */
  updateAll(renames: RenameDto[]): Promise<User[]> {
    return this.database.transaction(async (transaction) => {
      const users: User[] = [];
      for (const { id, name } of renames) {
        users.push(await this.rename(transaction, id, name));
      }
      return users;
    });
  }

  /** Called in a transaction: published after its commit. */
  @InvalidatesCache('User', (_: Queries, id: number) => id, {
    action: 'Update',
  })
  rename(transaction: Queries, id: number, name: string): Promise<User> {
    return one(
      transaction,
      id,
      `UPDATE sample_users SET name = $2, version = version + 1
       WHERE id = $1 RETURNING id, name, version`,
      [id, name],
    );
  }

  create({ name }: UserDto): Promise<User> {
    return this.#change(
      async (transaction) => {
        const [user] = await transaction.query<User>(
          'INSERT INTO sample_users (name) VALUES ($1) RETURNING id, name, version',
          [name],
        );
        return user!;
      },
      ({ id }) => [entity('User', id)],
    );
  }

  /** Removes the user, and evicts every page of the user's feed with one pattern. */
  async remove(id: number): Promise<void> {
    await this.#change(
      (transaction) =>
        one(
          transaction,
          id,
          'DELETE FROM sample_users WHERE id = $1 RETURNING id',
          [id],
        ),
      () => [entity('User', id), pattern(glob`feed:${id}:*`)],
    );
  }

  /** Changes rows and publishes; the message survives a process that is killed after the commit. */
  async #change(
    change: (transaction: Queries) => Promise<User>,
    says: (user: User) => Invalidation[],
  ): Promise<User> {
    const { user, stored } = await this.database.transaction((transaction) =>
      this.#store(transaction, change, says),
    );
    await Promise.all(stored.map((each) => this.publisher.publishStored(each)));
    return user;
  }

  async #store(
    transaction: Queries,
    change: (transaction: Queries) => Promise<User>,
    says: (user: User) => Invalidation[],
  ): Promise<{ user: User; stored: StoredInvalidation[] }> {
    const user = await change(transaction);
    const stored = says(user).map((each) => this.publisher.prepare(each));
    await this.outbox.add(transaction, stored);
    return { user, stored };
  }
}

async function one(
  on: Queries,
  id: number,
  sql: string,
  parameters: unknown[],
): Promise<User> {
  const [user] = await on.query<User>(sql, parameters);
  if (user === undefined) throw new NotFoundException(`No user ${id}.`);
  return user;
}
