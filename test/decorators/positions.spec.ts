import {
  DeferInvalidations,
  fromResult,
  InvalidatesCache,
  InvalidatesCachePattern,
  type CommitPosition,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { NEVER, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp } from '../testing/fakes/start-app.js';

const AT = { pg: '0/A0' };

interface Saved {
  readonly id: string;
  readonly at: CommitPosition;
}

class Users {
  steps: string[] = [];
  answer: () => unknown = () => Promise.resolve(AT);

  async position(): Promise<CommitPosition> {
    this.steps.push('asked');
    return (await this.answer()) as CommitPosition;
  }

  @InvalidatesCache('User', (id: string) => id, {
    at(this: Users) {
      return this.position();
    },
  })
  async save(_id: string): Promise<void> {
    this.steps.push('committed');
  }

  @InvalidatesCache('User', fromResult((saved: Saved) => saved.id), {
    at: fromResult((saved: Saved) => saved.at),
  })
  @InvalidatesCachePattern('feed:*')
  async insert(saved: Saved): Promise<Saved> {
    return saved;
  }

  @InvalidatesCache('User', (id: string) => id, {
    evenIfFails: true,
    at(this: Users) {
      return this.position();
    },
  })
  async fail(_id: string): Promise<void> {
    throw new Error('failed');
  }

  @InvalidatesCache('User', (id: string) => id, { at: () => AT })
  sync(_id: string): void {}

  @InvalidatesCache('User', (id: string) => id, { at: () => AT })
  watch(_id: string): Observable<string> {
    return NEVER;
  }

  @DeferInvalidations()
  async deferred(id: string): Promise<void> {
    await this.save(id);
  }
}

async function start() {
  const { app, broker } = await startApp({ providers: [Users] });
  const positions = async () => {
    await settled(app);
    return broker.published.map((each) => [said(each), each.at]);
  };
  return { users: app.get(Users), positions };
}

describe('@InvalidatesCache(): the option at', () => {
  it('is asked after the method, with its instance', async () => {
    const { users, positions } = await start();
    await users.save('1');
    expect(users.steps).toEqual(['committed', 'asked']);
    expect(await positions()).toEqual([['User:1', AT]]);
  });

  it('may be of the result, and counts for one decorator', async () => {
    const { users, positions } = await start();
    await users.insert({ id: '1', at: AT });
    expect(await positions()).toEqual([
      ['User:1', AT],
      ['feed:*', null],
    ]);
  });

  it.each<[string, () => unknown]>([
    ['rejects', () => Promise.reject(new Error('away'))],
    ['is no position', () => ({ pg: 'x' })],
  ])('is left out where it %s', async (_, answer) => {
    const { users, positions } = await start();
    users.answer = answer;
    await users.save('1');
    expect(await positions()).toEqual([['User:1', null]]);
  });

  it('is left out where the result has no position', async () => {
    const { users, positions } = await start();
    await users.insert({ id: '1', at: { pg: 'x' } });
    await users.insert({ id: '2', at: null as never });
    expect((await positions()).map(([, at]) => at)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it('is not asked where a commit may come later', async () => {
    const { users, positions } = await start();
    await users.deferred('1');
    expect(users.steps).toEqual(['committed']);
    await users.fail('2').catch(() => null);
    users.sync('3');
    users.watch('4').subscribe().unsubscribe();
    expect(users.steps).toEqual(['committed']);
    expect(await positions()).toEqual([
      ['User:1', null],
      ['User:2', null],
      ['User:3', null],
      ['User:4', null],
    ]);
  });

  it('must be a function', () => {
    expect(() =>
      InvalidatesCache('User', (id: string) => id, { at: AT as never }),
    ).toThrow(TypeError);
  });
});
