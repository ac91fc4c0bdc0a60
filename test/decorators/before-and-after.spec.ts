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

describe('An entity that changes its id in the method', () => {
  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['loses it', '7', undefined, ['User:7']],
    ['loses it to null', '7', null, ['User:7']],
    ['loses it to an empty text', '7', '', ['User:7']],
    ['loses it to NaN', '7', NaN, ['User:7']],
    ['gets another', 'old', 'new', ['User:old', 'User:new']],
    ['gets its first', undefined, '7', ['User:7']],
    ['gets its first in the place of an empty one', '', '7', ['User:7']],
    ['keeps it, as a number and as text', 7, '7', ['User:7']],
    ['never has one', undefined, null, []],
    ['loses an impossible one', 2 ** 60, undefined, ['user:*']],
    ['loses an empty one', '', undefined, ['user:*']],
    ['gets an impossible one', '7', 1e21, ['user:*']],
  ])('%s', async (_what, before, after, expected) => {
    const { rows, heard, app } = await start();

    await rows.setId({ id: before }, after);
    expect(heard()).toEqual(expected);
    rows.syncSetId({ id: before }, after);

    await settled(app);
    expect(heard()).toEqual([...expected, ...expected]);
  });

  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['that it loses', '7', undefined, ['User:7']],
    ['that it gets', undefined, '7', ['User:7']],
    ['that it never has', undefined, undefined, ['user:*']],
    ['that is null', null, null, ['user:*']],
    ['that is an object', {} as string, {} as string, ['user:*']],
  ])('as text %s', async (_what, before, after, expected) => {
    const { rows, heard } = await start();

    await rows.setText({ id: before }, after);

    expect(heard()).toEqual(expected);
  });

  it.each<[string, Row['id'][], Row['id'][], string[]]>([
    ['lose them', ['1', '2'], [undefined, undefined], ['user:1,user:2']],
    ['get them', [undefined, ''], ['1', '2'], ['user:1,user:2']],
    ['get others', ['1', '2'], ['1', '3'], ['user:1,user:2,user:3']],
    ['keep an impossible one', ['1', 1e21], ['1', 1e21], ['user:1', 'user:*']],
    // One id is missing on each side, and the two sides cannot be matched.
    [
      'get and lose them',
      ['', '2'],
      ['1', undefined],
      ['user:2,user:1', 'user:*'],
    ],
    ['have one without', ['1', ''], ['1', ''], ['user:1', 'user:*']],
  ])('as do several: they %s', async (_what, before, after, expected) => {
    const { rows, heard } = await start();

    await rows.setIds(
      before.map((id) => ({ id })),
      after,
    );

    expect(heard()).toEqual(expected);
  });

  it('is told if the list of ids itself is emptied', async () => {
    const { rows, heard } = await start();

    await rows.drain(['1', '2']);

    expect(heard()).toEqual(['user:1,user:2']);
  });

  it('is told with what follows from both ids', async () => {
    const { rows, heard } = await start({
      options: { cascade: { User: (id) => [entity('Feed', id)] } },
    });

    await rows.setId({ id: 'old' }, 'new');

    expect(heard()).toEqual(['User:old', 'Feed:old', 'User:new', 'Feed:new']);
  });

  it('is told if its condition held before, or holds after', async () => {
    const { rows, heard } = await start();

    await rows.when({ id: '1' }, 'before', undefined);
    await rows.when({}, 'after', '1');
    await rows.when({}, 'never', undefined);

    expect(heard()).toEqual(['User:before', 'User:after']);
  });

  it('is told with the metadata that it had', async () => {
    const { rows, recorder } = await start();

    await rows.metadata({ slug: 'x' });

    expect(recorder.published).toMatchObject([{ metadata: 'x' }]);
  });

  it('is told by both patterns, or by the one that there was', async () => {
    const { rows, heard } = await start();

    await rows.setSlug({ slug: 'old' }, 'new');
    await rows.setSlug({ slug: 'last' });

    expect(heard()).toEqual(['page:old:*', 'page:new:*', 'page:last:*']);
  });

  it('is told after the call only, if a selector needs what the call makes', async () => {
    const { rows, heard, app } = await start();

    await rows.needsId({}, '7');

    expect(heard()).toEqual(['User:7']);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(0);
  });

  it.each<[string, Row['id'], Row['id'], string[]]>([
    ['is lost', '7', undefined, ['page:7:*']],
    ['is lost to null', '7', null, ['page:7:*']],
    ['is new', undefined, '7', ['page:7:*']],
    ['becomes impossible', '7', 1e21, ['*']],
    ['was never there', undefined, undefined, ['*']],
  ])(
    'is told by a glob whose id %s',
    async (_what, before, after, expected) => {
      const { rows, heard } = await start();

      await rows.setIdInPattern({ id: before }, after);

      expect(heard()).toEqual(expected);
    },
  );

  it('is covered by its type if a selector failed before the call, and names nothing after it', async () => {
    const { rows, heard, app } = await start();

    await rows.needsId({}, null as never);

    expect(heard()).toEqual(['user:*']);
    expect(app.get(InvalidationStats).snapshot().handlerErrors).toBe(1);
  });

  it('is told if its condition failed before the call, and does not hold after it', async () => {
    const { rows, heard } = await start();

    await rows.whenNeedsId({}, '7');

    expect(heard()).toEqual(['User:1']);
  });

  it('is covered by its type if a selector breaks on what is left', async () => {
    const { rows, heard } = await start();

    await rows.breaks({ id: '7' });

    expect(heard()).toEqual(['user:*']);
  });
});

describe('evenIfFails', () => {
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
    ['a throw, by the decorators that say so', (l) => l.sync('7'), ['User:7']],
    [
      "an Observable's error",
      (late) => lastValueFrom(late.values('7')),
      ['User:7'],
    ],
    ['no result to select from', (late) => late.byResult(), ['user:*']],
    ['no result for a condition', (late) => late.whenResult(), ['User:1']],
  ])('%s is told, and passes through', async (_what, call, expected) => {
    const { app, recorder } = await startApp({ providers: [Late] });

    await expect(async () => call(app.get(Late))).rejects.toBe(LATE);

    await settled(app);
    expect(recorder.published.map(said)).toEqual(expected);
  });

  it('is true or false, or refused where it is written', () => {
    expect(() =>
      InvalidatesCache('User', () => '1', { evenIfFails: 'yes' as never }),
    ).toThrow(/"yes" is not valid for `evenIfFails`/);
  });
});

describe('A selector that is a function', () => {
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

  it('sees the instance as `this`', async () => {
    const { app, recorder } = await startApp({ providers: [Settings] });

    await app.get(Settings).save('theme');

    expect(recorder.published).toMatchObject([
      { entityId: 'red:theme', metadata: 'red' },
      { pattern: 'red:theme:*' },
    ]);
  });
});

describe('A pattern made without the tag `glob`', () => {
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
    ['with brackets', (f) => f.clear('a[1]'), ['feed:a[1]:*', 'feed:a\\[1]:*']],
    [
      'with a backslash',
      (f) => f.clear('x\\y'),
      ['feed:x\\y:*', 'feed:x\\\\y:*'],
    ],
    ['in an object', (f) => f.nested({ author: '[' }), ['feed:[', 'feed:\\[']],
    ['that is plain', (f) => f.clear('42'), ['feed:42:*']],
    ['that is a pattern', (f) => f.whole('a:[12]'), ['a:[12]']],
    [
      'that was escaped',
      (f) => f.tagged({ author: 'a[1]' }),
      ['feed:a\\[1]:*'],
    ],
  ])('takes an argument %s literally too', async (_what, call, expected) => {
    const { app, recorder } = await startApp({ providers: [Feeds] });

    await call(app.get(Feeds));

    expect(recorder.published.map(said)).toEqual(expected);
    expect(recorder.published[0]).toMatchObject(pattern(expected[0]!));
  });
});
