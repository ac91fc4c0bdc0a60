import { Injectable } from '@nestjs/common';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cached, InvalidatesCache } from 'nestjs-cache-invalidation';

export interface User {
  id: string;
  name: string;
}

/** A file stands in for the database, so that two instances share it. */
const fileOf = (id: string): string => join(tmpdir(), `user-${id}.json`);

@Injectable()
export class UsersService {
  /** Number of reads of a file by this instance. */
  loads = 0;

  @Cached('User', (id: string) => id)
  async find(id: string): Promise<User> {
    this.loads++;
    const text = await readFile(fileOf(id), 'utf8').catch(() => null);
    return text === null ? { id, name: 'nobody' } : (JSON.parse(text) as User);
  }

  @InvalidatesCache('User', (user: User) => user.id)
  async save(user: User): Promise<User> {
    await writeFile(fileOf(user.id), JSON.stringify(user));
    return user;
  }
}
