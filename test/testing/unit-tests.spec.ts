import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, InvalidatesCache } from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { lastValueFrom, of, type Observable } from 'rxjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { MethodPublisher } from '../../lib/decorators/index.js';
import { NearCacheFactory } from '../../lib/cache/index.js';
import { startApp } from './fakes/start-app.js';

@Injectable()
class Users {
  @InvalidatesCache('User', (id: string) => id)
  async save(id: string): Promise<string> {
    return id;
  }

  @InvalidatesCache('User', (id: string) => id)
  saveNow(id: string): string {
    return id;
  }

  @InvalidatesCache('User', (id: string) => id)
  values(id: string): Observable<string> {
    return of(id);
  }

  @Cached('User', (id: string) => id)
  async find(id: string): Promise<string> {
    return id;
  }
}

type Mocker = (token: unknown) => unknown;

const methodsOf = (token: unknown): string[] =>
  typeof token === 'function'
    ? Object.getOwnPropertyNames(token.prototype).filter(
        (name) =>
          typeof Object.getOwnPropertyDescriptor(token.prototype, name)
            ?.value === 'function',
      )
    : [];

/** Mocks whose methods return undefined. */
const shallow: Mocker = (token) =>
  Object.fromEntries(methodsOf(token).map((name) => [name, () => undefined]));

/** Mocks of which everything is a function that returns another mock. */
const deep: Mocker = () =>
  new Proxy(function () {}, {
    get: (_target, key) =>
      key === 'then' || typeof key === 'symbol' ? undefined : deep(key),
    apply: () => deep(null),
  });

/** An instance of the class, whose methods return undefined. */
const stub: Mocker = (token) =>
  token === MethodPublisher || token === NearCacheFactory
    ? Object.assign(
        Object.create((token as new () => object).prototype as object),
        shallow(token),
      )
    : {};

describe('Unit tests of a decorated class', () => {
  it.each([
    ['shallow', shallow],
    ['deep', deep],
    ['stub', stub],
  ])('run its methods with %s mocks', async (_what, mocker) => {
    const module = await Test.createTestingModule({ providers: [Users] })
      .useMocker(mocker)
      .compile();
    const users = module.get(Users);

    expect(await users.save('1')).toBe('1');
    expect(users.saveNow('1')).toBe('1');
    expect(await lastValueFrom(users.values('1'))).toBe('1');
    expect(await users.find('1')).toBe('1');
  });
});

describe('settled() with fake timers', () => {
  afterEach(() => void vi.useRealTimers());

  it('resolves', async () => {
    const { app, recorder } = await startApp({ providers: [Users] });
    vi.useFakeTimers();

    const saving = app.get(Users).save('1');
    await settled(app);

    expect(await saving).toBe('1');
    expect(recorder.published).toHaveLength(1);
  });
});
