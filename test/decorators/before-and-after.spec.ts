import { Injectable } from '@nestjs/common';
import {
  entity,
  fromResult,
  glob,
  InvalidatesCache,
  InvalidatesCachePattern,
  InvalidationStats,
  pattern,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { lastValueFrom, throwError, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp, type StartedApp } from '../testing/fakes/start-app.js';

interface Row {
  id?: string | number | null | undefined;
  slug?: string;
}

const setId = (row: Row, id: Row['id']): void => void (row.id = id);

@Injectable()
class Rows {
  // Like an ORM: the entity has no id after its removal, and none before it is
  // saved.
  @InvalidatesCache('User', (row: Row) => row.id)
  async setId(row: Row, id: Row['id']): Promise<void> {
    setId(row, id);
  }

  @InvalidatesCache('User', (row: Row) => row.id)
  syncSetId(row: Row, id: Row['id']): void {
    setId(row, id);
  }

  @InvalidatesCache('User', (row: Row) => String(row.id))
  async setText(row: Row, id: Row['id']): Promise<void> {
    setId(row, id);
  }

  @InvalidatesCache('User', (rows: Row[]) => rows.map(({ id }) => id))
  async setIds(rows: Row[], ids: Row['id'][]): Promise<void> {
    for (const [index, row] of rows.entries()) setId(row, ids[index]);
  }

  @InvalidatesCache('User', (ids: string[]) => ids)
  async drain(ids: string[]): Promise<void> {
    ids.length = 0;
  }

  @InvalidatesCache('User', (_row: Row, id: string) => id, {
    when: (row: Row) => row.id !== undefined,
  })
  async when(row: Row, _id: string, after: Row['id']): Promise<void> {
    setId(row, after);
  }

  @InvalidatesCache('User', () => '1', {
    metadata: (row: Row) => row.slug,
  })
  async metadata(row: Row): Promise<void> {
    delete row.slug;
  }

  @InvalidatesCachePattern((row: Row) => row.slug && `page:${row.slug}:*`)
  async setSlug(row: Row, slug?: string): Promise<void> {
    if (slug === undefined) delete row.slug;
    else row.slug = slug;
  }

  @InvalidatesCache('User', (row: Row) => {
    if (row.id === undefined) throw new Error('no id yet');
    return row.id;
  })
  async needsId(row: Row, id: string): Promise<void> {
    setId(row, id);
  }

  @InvalidatesCachePattern((row: Row) => glob`page:${row.id as string}:*`)
  async setIdInPattern(row: Row, id: Row['id']): Promise<void> {
    setId(row, id);
  }

  @InvalidatesCache('User', () => '1', {
    when: (row: Row) => {
      if (row.id === undefined) throw new Error('no id yet');
      return row.slug !== undefined;
    },
  })
  async whenNeedsId(row: Row, id: string): Promise<void> {
    setId(row, id);
  }

  @InvalidatesCache('User', (row: Row) => (row.id as string).trim())
  async breaks(row: Row): Promise<void> {
    setId(row, undefined);
  }
}

async function start(
  options: Parameters<typeof startApp>[0] = {},
): Promise<StartedApp & { rows: Rows; heard: () => string[] }> {
  const started = await startApp({ providers: [Rows], ...options });
  return {
    ...started,
    rows: started.app.get(Rows),
    heard: () => started.recorder.published.map(said),
  };
}

describe('@InvalidatesCache() on a method that changes the id of its entity', () => {
  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['loses its id', '7', undefined, ['User:7']],
    ['loses its id to null', '7', null, ['User:7']],
    ['loses its id to an empty string', '7', '', ['User:7']],
    ['loses its id to NaN', '7', NaN, ['User:7']],
    ['gets another id', 'old', 'new', ['User:old', 'User:new']],
    ['gets its first id', undefined, '7', ['User:7']],
    ['gets its first id instead of an empty one', '', '7', ['User:7']],
    ['keeps its id, as a number and as text', 7, '7', ['User:7']],
    ['never has an id', undefined, null, []],
    ['loses an invalid id', 2 ** 60, undefined, ['user:*']],
    ['loses an empty id', '', undefined, ['user:*']],
    ['gets an invalid id', '7', 1e21, ['user:*']],
  ])(
    'invalidates both ids when the entity %s',
    async (_what, before, after, expected) => {
      const { rows, heard, app } = await start();

      await rows.setId({ id: before }, after);
      expect(heard()).toEqual(expected);
      rows.syncSetId({ id: before }, after);

      await settled(app);
      expect(heard()).toEqual([...expected, ...expected]);
    },
  );

  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['that it loses', '7', undefined, ['User:7']],
    ['that it gets', undefined, '7', ['User:7']],
    ['that it never has', undefined, undefined, ['user:*']],
    ['that is null', null, null, ['user:*']],
    ['that is an object', {} as string, {} as string, ['user:*']],
  ])(
    'invalidates an id in a template string %s',
    async (_what, before, after, expected) => {
      const { rows, heard } = await start();

      await rows.setText({ id: before }, after);

      expect(heard()).toEqual(expected);
    },
  );

  it.each<[string, Row['id'][], Row['id'][], string[]]>([
    ['lose their ids', ['1', '2'], [undefined, undefined], ['user:1,user:2']],
    ['get their ids', [undefined, ''], ['1', '2'], ['user:1,user:2']],
    ['get other ids', ['1', '2'], ['1', '3'], ['user:1,user:2,user:3']],
    ['keep an invalid id', ['1', 1e21], ['1', 1e21], ['user:1', 'user:*']],
    // One id is missing on each side, and the two sides cannot be matched.
    [
      'get and lose ids',
      ['', '2'],
      ['1', undefined],
      ['user:2,user:1', 'user:*'],
    ],
    ['include one without an id', ['1', ''], ['1', ''], ['user:1', 'user:*']],
  ])(
    'invalidates all ids when several entities %s',
    async (_what, before, after, expected) => {
      const { rows, heard } = await start();

      await rows.setIds(
        before.map((id) => ({ id })),
        after,
      );

      expect(heard()).toEqual(expected);
    },
  );

  it('invalidates ids of an array that the method empties', async () => {
    const { rows, heard } = await start();

    await rows.drain(['1', '2']);

    expect(heard()).toEqual(['user:1,user:2']);
  });

  it('cascades from both ids', async () => {
    const { rows, heard } = await start({
      options: { cascade: { User: (id) => [entity('Feed', id)] } },
    });

    await rows.setId({ id: 'old' }, 'new');

    expect(heard()).toEqual(['User:old', 'Feed:old', 'User:new', 'Feed:new']);
  });

  it('invalidates if `when` is true before or after the call', async () => {
    const { rows, heard } = await start();

    await rows.when({ id: '1' }, 'before', undefined);
    await rows.when({}, 'after', '1');
    await rows.when({}, 'never', undefined);

    expect(heard()).toEqual(['User:before', 'User:after']);
  });

  it('publishes the metadata from before the call', async () => {
    const { rows, recorder } = await start();

    await rows.metadata({ slug: 'x' });

    expect(recorder.published).toMatchObject([{ metadata: 'x' }]);
  });

  it('invalidates both patterns, or the one that existed', async () => {
    const { rows, heard } = await start();

    await rows.setSlug({ slug: 'old' }, 'new');
    await rows.setSlug({ slug: 'last' });

    expect(heard()).toEqual(['page:old:*', 'page:new:*', 'page:last:*']);
  });

  it('selects after the call if the selector needs data that the call creates', async () => {
    const { rows, heard, app } = await start();

    await rows.needsId({}, '7');

    expect(heard()).toEqual(['User:7']);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(0);
  });

  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['is lost', '7', undefined, ['page:7:*']],
    ['is lost to null', '7', null, ['page:7:*']],
    ['is new', undefined, '7', ['page:7:*']],
    ['becomes invalid', '7', 1e21, ['*']],
    ['never existed', undefined, undefined, ['*']],
  ])(
    'invalidates a glob whose id %s',
    async (_what, before, after, expected) => {
      const { rows, heard } = await start();

      await rows.setIdInPattern({ id: before }, after);

      expect(heard()).toEqual(expected);
    },
  );

  it('widens to the type if a selector throws before the call and selects nothing after it', async () => {
    const { rows, heard, app } = await start();

    await rows.needsId({}, null as never);

    expect(heard()).toEqual(['user:*']);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
  });

  it('invalidates if `when` throws before the call and is false after it', async () => {
    const { rows, heard } = await start();

    await rows.whenNeedsId({}, '7');

    expect(heard()).toEqual(['User:1']);
  });

  it('widens to the type if a selector throws after the call', async () => {
    const { rows, heard } = await start();

    await rows.breaks({ id: '7' });

    expect(heard()).toEqual(['user:*']);
  });
});

describe('option evenIfFails', () => {
  const LATE = new Error('the mail server is away');

  class Late {
    @InvalidatesCache('User', (row: Row) => row.id, { evenIfFails: true })
    async save(row: Row): Promise<void> {
      setId(row, undefined);
      throw LATE;
    }

    @InvalidatesCache('User', (id: string) => id, { evenIfFails: true })
    @InvalidatesCache('Post', (id: string) => id)
    sync(_id: string): void {
      throw LATE;
    }

    @InvalidatesCache('User', (id: string) => id, { evenIfFails: true })
    values(_id: string): Observable<string> {
      return throwError(() => LATE);
    }

    @InvalidatesCache('User', fromResult((id: string) => id), {
      evenIfFails: true,
    })
    async byResult(): Promise<string> {
      throw LATE;
    }

    @InvalidatesCache('User', () => '1', {
      evenIfFails: true,
      when: fromResult((changed: boolean) => changed),
    })
    async whenResult(): Promise<boolean> {
      throw LATE;
    }
  }

  it.each<[string, (late: Late) => unknown, string[]]>([
    ['a rejection', (late) => late.save({ id: '7' }), ['User:7']],
    [
      'a throw, for the decorators with the option',
      (l) => l.sync('7'),
      ['User:7'],
    ],
    [
      "an Observable's error",
      (late) => lastValueFrom(late.values('7')),
      ['User:7'],
    ],
    [
      'a rejection with a selector of the result',
      (late) => late.byResult(),
      ['user:*'],
    ],
    [
      'a rejection with a condition on the result',
      (late) => late.whenResult(),
      ['User:1'],
    ],
  ])('invalidates and rethrows: %s', async (_what, call, expected) => {
    const { app, recorder } = await startApp({ providers: [Late] });

    await expect(async () => call(app.get(Late))).rejects.toBe(LATE);

    await settled(app);
    expect(recorder.published.map(said)).toEqual(expected);
  });

  it('rejects a value that is not a boolean', () => {
    expect(() =>
      InvalidatesCache('User', () => '1', { evenIfFails: 'yes' as never }),
    ).toThrow(/"yes" is not valid for `evenIfFails`/);
  });
});

describe('A selector written as a function expression', () => {
  class Settings {
    readonly tenant = 'red';

    @InvalidatesCache(
      'setting',
      function (this: Settings, name: string) {
        return `${this.tenant}:${name}`;
      },
      {
        when(this: Settings) {
          return this.tenant === 'red';
        },
        metadata(this: Settings) {
          return this.tenant;
        },
      },
    )
    @InvalidatesCachePattern(
      fromResult(function (this: Settings, name: string) {
        return glob`${this.tenant}:${name}:*`;
      }),
    )
    async save(name: string): Promise<string> {
      return name;
    }
  }

  it('has the instance as `this`', async () => {
    const { app, recorder } = await startApp({ providers: [Settings] });

    await app.get(Settings).save('theme');

    expect(recorder.published).toMatchObject([
      { entityId: 'red:theme', metadata: 'red' },
      { pattern: 'red:theme:*' },
    ]);
  });
});

describe('A pattern without the tag `glob`', () => {
  class Feeds {
    @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
    async clear(_id: string): Promise<void> {}

    @InvalidatesCachePattern(
      (post: { author: string }) => glob`feed:${post.author}:*`,
    )
    async tagged(_post: { author: string }): Promise<void> {}

    @InvalidatesCachePattern(
      (post: { author: string }) => `feed:${post.author}`,
    )
    async nested(_post: { author: string }): Promise<void> {}

    @InvalidatesCachePattern((globs: string) => globs)
    async whole(_globs: string): Promise<void> {}
  }

  it.each<[string, (feeds: Feeds) => Promise<void>, string[]]>([
    ['brackets', (f) => f.clear('a[1]'), ['feed:a[1]:*', 'feed:a\\[1]:*']],
    ['a backslash', (f) => f.clear('x\\y'), ['feed:x\\y:*', 'feed:x\\\\y:*']],
    [
      'a property of an object',
      (f) => f.nested({ author: '[' }),
      ['feed:[', 'feed:\\['],
    ],
    ['a plain id', (f) => f.clear('42'), ['feed:42:*']],
    ['a whole pattern', (f) => f.whole('a:[12]'), ['a:[12]']],
    ['an escaped id', (f) => f.tagged({ author: 'a[1]' }), ['feed:a\\[1]:*']],
  ])(
    'also matches its argument literally: %s',
    async (_what, call, expected) => {
      const { app, recorder } = await startApp({ providers: [Feeds] });

      await call(app.get(Feeds));

      expect(recorder.published.map(said)).toEqual(expected);
      expect(recorder.published[0]).toMatchObject(pattern(expected[0]!));
    },
  );
});
