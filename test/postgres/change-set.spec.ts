import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  affects,
  batch,
  entity,
  everything,
  pattern,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { ChangeSet } from '../../lib/postgres/mapping/change-set.js';

function setOf(bulk: number, ...invalidations: Invalidation[]) {
  let bulks = 0;
  const changes = new ChangeSet(bulk, () => bulks++);
  for (const each of invalidations) changes.add(each);
  return { changes, said: changes.invalidations(), bulks: () => bulks };
}

describe('ChangeSet', () => {
  it('keeps an entity, and merges several to a batch', () => {
    expect(setOf(9).said).toEqual([]);
    expect(setOf(9, entity('User', 1), entity('User', 1)).said).toEqual([
      entity('User', 1),
    ]);
    expect(
      setOf(9, entity('User', 1), entity('team', 2), batch(['user:3'])).said,
    ).toEqual([batch(['user:1', 'user:3', 'team:2'])]);
    expect(setOf(9, pattern('team:1:*'), pattern('team:1:*')).said).toEqual([
      pattern('team:1:*'),
    ]);
  });

  it('keeps an update and its metadata as it is', () => {
    const update = entity('User', 1, { action: 'Update', metadata: { a: 1 } });
    expect(setOf(9, update, entity('User', 2)).said).toEqual([
      entity('User', 2),
      update,
    ]);
  });

  it('becomes the type beyond the bulk, and everything beyond types', () => {
    const users = Array.from({ length: 5 }, (_, id) => entity('User', id));
    const { said, bulks, changes } = setOf(4, ...users, entity('team', 1));
    expect(said).toEqual([entity('team', 1), pattern('user:*')]);
    expect(bulks()).toBe(1);
    expect(changes.size).toBe(2);
    const types = Array.from({ length: 300 }, (_, at) =>
      entity(`type${at}`, 1),
    );
    expect(setOf(4, ...types).said).toEqual([everything()]);
    const several = Array.from({ length: 70 }, (_, at) =>
      entity(`type${at % 20}`, at),
    );
    expect(setOf(4, ...several).said).toHaveLength(20);
    expect(setOf(4, ...several).said[0]).toEqual(pattern('type0:*'));
    const patterns = Array.from({ length: 5 }, (_, at) =>
      pattern(`team:${at}:*`),
    );
    expect(setOf(4, ...patterns).said).toEqual([pattern('team:*')]);
    const vague = Array.from({ length: 5 }, (_, at) => pattern(`*:${at}`));
    expect(setOf(4, ...vague).said).toEqual([everything()]);
  });

  it('is everything once it was widened to it', () => {
    const { changes } = setOf(4, entity('User', 1));
    changes.widenToEverything();
    changes.add(entity('User', 2));
    changes.widen('team');
    expect(changes.invalidations()).toEqual([everything()]);
  });

  it('covers whatever was added, and stays within its bounds', () => {
    const id = fc.nat(30).map(String);
    const type = fc.constantFrom('User', 'Post', 'team', 'a*b');
    const invalidation = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.tuple(type, id).map(([of, one]) => entity(of, one)),
      },
      fc
        .tuple(type, id)
        .map(([of, one]) => entity(of, one, { action: 'Update' })),
      fc
        .array(
          id.map((one) => `user:${one}`),
          { minLength: 1 },
        )
        .map((keys) => batch(keys)),
      id.map((one) => pattern(`team:${one}*`)),
    );
    const keys = ['user', 'post', 'team', 'a*b'].flatMap((family) =>
      Array.from({ length: 31 }, (_, one) => `${family}:${one}`),
    );
    fc.assert(
      fc.property(
        fc.array(invalidation),
        fc.integer({ min: 1, max: 10 }),
        (list, bulk) => {
          const { said, changes } = setOf(bulk, ...list);
          const missed = keys.filter(
            (key) =>
              list.some((each) => affects(each, key)) &&
              !said.some((each) => affects(each, key)),
          );
          expect(missed).toEqual([]);
          expect(changes.size).toBeLessThanOrEqual(5 * bulk + 4);
        },
      ),
    );
  });
});
