import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  affects,
  batch,
  buildCacheKey,
  buildPattern,
  entity,
  everything,
  Instance,
  pattern,
  type Invalidation,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { Outbox } from '../../lib/publisher/outbox.js';
import { said } from '../support/app.js';

const instance = new Instance('test-service');
const stamp = (invalidation: Invalidation): InvalidationMessage =>
  instance.stamp(invalidation);

const users = (...ids: string[]): InvalidationMessage[] =>
  ids.map((id) => stamp(entity('User', id)));

const all = (outbox: Outbox): string[] => outbox.take(Infinity).map(said);

describe('the outbox', () => {
  it('gives out what was put in, oldest first', () => {
    const outbox = new Outbox(10, stamp);
    expect(outbox.add(users('1', '2'))).toBe(false);
    expect(outbox.add(users('3'))).toBe(false);

    expect(outbox.size).toBe(3);
    expect(outbox.take(2).map(said)).toEqual(['User:1', 'User:2']);
    expect(outbox.size).toBe(1);
    expect(all(outbox)).toEqual(['User:3']);
    expect(outbox.take(1)).toEqual([]);
  });

  it('puts what was taken back before what came since', () => {
    const outbox = new Outbox(10, stamp);
    outbox.add(users('1', '2', '3'));
    const taken = outbox.take(2);
    outbox.add(users('4'));

    expect(outbox.putBack(taken)).toBe(false);

    expect(all(outbox)).toEqual(['User:1', 'User:2', 'User:3', 'User:4']);
  });

  it('holds as many as its limit, untouched', () => {
    const outbox = new Outbox(3, stamp);
    expect(outbox.add(users('1', '2', '3'))).toBe(false);
    expect(all(outbox)).toEqual(['User:1', 'User:2', 'User:3']);
  });

  it('collapses to entity types beyond it', () => {
    const outbox = new Outbox(3, stamp);
    outbox.add([
      stamp(entity('User', '1')),
      stamp(entity('session', 'a:b')),
      stamp(entity('User', '2')),
    ]);

    expect(outbox.add([stamp(batch(['post:1', 'user:3']))])).toBe(true);

    expect(all(outbox).toSorted()).toEqual(['post:*', 'session:*', 'user:*']);
  });

  it('collapses patterns to the type they are of', () => {
    const outbox = new Outbox(2, stamp);
    outbox.add(
      ['feed:42:*', 'feed:*:new', 'user:[ab]'].map((glob) =>
        stamp(pattern(glob)),
      ),
    );
    expect(all(outbox).toSorted()).toEqual(['feed:*', 'user:*']);
  });

  it('takes the type literally, whatever signs are in it', () => {
    const outbox = new Outbox(1, stamp);
    outbox.add(['1', '2'].map((id) => stamp(entity('a*[b]?\\', id))));

    const [only] = outbox.take(Infinity);

    expect(affects(only!, buildCacheKey('a*[b]?\\', 'x'))).toBe(true);
    expect(affects(only!, 'aXb:x')).toBe(false);
  });

  it.each([
    ['a pattern without a type', [pattern('*:1'), entity('User', '1')]],
    ['a pattern within a type', [pattern('us*'), entity('User', '1')]],
    ['everything', [everything(), entity('User', '1')]],
    [
      'more types than the limit',
      [entity('User', '1'), entity('Post', '1'), entity('Feed', '1')],
    ],
  ])('collapses to everything for %s', (_, invalidations) => {
    const outbox = new Outbox(1, stamp);
    expect(outbox.add(invalidations.map(stamp))).toBe(true);
    expect(all(outbox)).toEqual(['*']);
  });

  it('collapses to everything for too many types to list', () => {
    const outbox = new Outbox(100, stamp);
    const types = Array.from({ length: 101 }, (_, i) => `type-${i}`);
    expect(outbox.add(types.map((type) => stamp(entity(type, '1'))))).toBe(
      true,
    );
    expect(all(outbox)).toEqual(['*']);
  });

  it('collapses also when something is put back', () => {
    const outbox = new Outbox(2, stamp);
    outbox.add(users('1', '2'));
    const taken = outbox.take(2);
    outbox.add(users('3'));

    expect(outbox.putBack(taken)).toBe(true);

    expect(all(outbox)).toEqual(['user:*']);
  });
});

describe('whatever happens to an outbox', () => {
  const types = ['User', 'Post', 'session', 'a*b', '[x', 'q?\\'];
  const ids = ['1', '42:a', '*', 'é'];
  const keys = types.flatMap((type) =>
    ids.map((id) => buildCacheKey(type, id)),
  );
  const type = fc.constantFrom(...types);
  const id = fc.constantFrom(...ids);
  const anyInvalidation: fc.Arbitrary<Invalidation> = fc.oneof(
    fc.tuple(type, id).map(([t, i]) => entity(t, i)),
    fc.subarray(keys, { minLength: 1 }).map((some) => batch(some)),
    fc.tuple(type, id).map(([t, i]) => pattern(buildPattern(t, `${i}*`))),
    fc.constantFrom('us*', '*:1', '[pu]*', 'u\\ser:*', 'a\\*b:?', '?*').map(
      // '?*' would be refused where it means everything.
      (glob) => (glob === '?*' ? everything() : pattern(glob)),
    ),
  );
  const anyStep = fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      invalidations: fc.array(anyInvalidation, { maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('send' as const), count: fc.nat(4) }),
    fc.record({ kind: fc.constant('fail' as const), count: fc.nat(4) }),
  );

  it('every key that was affected is affected by what was sent or remains, and it never holds more than its limit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(anyStep, { maxLength: 12 }),
        (limit, steps) => {
          const outbox = new Outbox(limit, stamp);
          const added: Invalidation[] = [];
          const sent: Invalidation[] = [];
          for (const step of steps) {
            if (step.kind === 'add') {
              added.push(...step.invalidations);
              outbox.add(step.invalidations.map(stamp));
            } else if (step.kind === 'send') {
              sent.push(...outbox.take(step.count));
            } else {
              outbox.putBack(outbox.take(step.count));
            }
            expect(outbox.size).toBeLessThanOrEqual(limit);
          }
          sent.push(...outbox.take(Infinity));
          const affectedBy = (some: Invalidation[]) =>
            keys.filter((key) => some.some((one) => affects(one, key)));
          expect(affectedBy(sent)).toEqual(
            expect.arrayContaining(affectedBy(added)),
          );
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('what did not have to collapse comes out as it went in', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyInvalidation, { maxLength: 4 }), { maxLength: 6 }),
        fc.nat(5),
        (additions, count) => {
          const outbox = new Outbox(1_000, stamp);
          const added = additions.map((some) => some.map(stamp));
          for (const some of added) outbox.add(some);
          outbox.putBack(outbox.take(count));
          expect(outbox.take(Infinity)).toEqual(added.flat());
        },
      ),
    );
  });
});
