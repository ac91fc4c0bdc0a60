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
  parseLsn,
  pattern,
  sizeOf,
  type CommitPosition,
  type Invalidation,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { firstTryOf, Outbox, type Unsent } from '../../lib/publisher/outbox.js';
import { said } from '../support/app.js';

/** Fewer for each mutant. */
const RUNS = process.env['MUTATION_AREAS'] === undefined ? 2_000 : 200;

const instance = new Instance('test-service');
const stamp = (
  invalidation: Invalidation,
  at: CommitPosition | null = null,
): InvalidationMessage => instance.stamp(invalidation, undefined, at);

/** A message that was never tried, by default. */
const unsent = (
  invalidation: Invalidation,
  triedSince: string | null = null,
): Unsent => ({ message: stamp(invalidation), triedSince });

const users = (...ids: string[]): Unsent[] =>
  ids.map((id) => unsent(entity('User', id)));

const tried = (since: string, ...ids: string[]): Unsent[] =>
  ids.map((id) => unsent(entity('User', id), since));

const saidBy = (some: readonly Unsent[]): string[] =>
  some.map(({ message }) => said(message));

const all = (outbox: Outbox): string[] => saidBy(outbox.take(Infinity));

describe('Outbox: the bounded queue', () => {
  it('take() returns messages in the order they were added', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    expect(outbox.add(users('1', '2'))).toBe(false);
    expect(outbox.add(users('3'))).toBe(false);

    expect(outbox.size).toBe(3);
    expect(saidBy(outbox.take(2))).toEqual(['User:1', 'User:2']);
    expect(outbox.size).toBe(1);
    expect(all(outbox)).toEqual(['User:3']);
    expect(outbox.take(1)).toEqual([]);
  });

  it('putBack() inserts messages ahead of those added since', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    outbox.add(users('1', '2', '3'));
    const taken = outbox.take(2);
    outbox.add(users('4'));

    expect(outbox.putBack(taken)).toBe(false);

    expect(all(outbox)).toEqual(['User:1', 'User:2', 'User:3', 'User:4']);
  });

  it('holds as many messages as its limit without a change', () => {
    const outbox = new Outbox({ messages: 3, bytes: Infinity }, stamp);
    expect(outbox.add(users('1', '2', '3'))).toBe(false);
    expect(all(outbox)).toEqual(['User:1', 'User:2', 'User:3']);
  });

  it('collapses beyond its limit of bytes, and subtracts the bytes of taken messages', () => {
    const outbox = new Outbox({ messages: 100, bytes: 50_000 }, stamp);
    const heavy = (id: string): Unsent =>
      unsent(entity('User', id, { metadata: 'x'.repeat(20_000) }));
    for (let round = 0; round < 5; round++) {
      expect(outbox.add([heavy('1'), heavy('2')])).toBe(false);
      const taken = outbox.take(2);
      expect(outbox.putBack(taken)).toBe(false);
      expect(all(outbox)).toEqual(['User:1', 'User:2']);
    }
    outbox.add([heavy('1'), heavy('2')]);
    expect(outbox.add([heavy('3')])).toBe(true);
    expect(all(outbox)).toEqual(['user:*']);
    expect(outbox.add([heavy('4')])).toBe(false);
  });

  it('has room again after messages were taken', () => {
    const outbox = new Outbox({ messages: 3, bytes: Infinity }, stamp);
    for (let round = 0; round < 5; round++) {
      expect(outbox.add([unsent(batch(['user:1', 'user:2']))])).toBe(false);
      expect(outbox.add(users('3'))).toBe(false);
      const taken = outbox.take(1);
      expect(outbox.add(users('4', '5'))).toBe(false);
      expect(all(outbox)).toEqual(['User:3', 'User:4', 'User:5']);
      expect(saidBy(taken)).toEqual(['user:1,user:2']);
    }
  });

  it('collapses to entity types beyond its limit of messages', () => {
    const outbox = new Outbox({ messages: 3, bytes: Infinity }, stamp);
    outbox.add([
      unsent(entity('User', '1')),
      unsent(entity('session', 'a:b')),
      unsent(entity('User', '2')),
    ]);

    expect(outbox.add([unsent(batch(['post:1', 'user:3']))])).toBe(true);

    expect(all(outbox).toSorted()).toEqual(['post:*', 'session:*', 'user:*']);
  });

  it('collapses patterns to their entity type', () => {
    const outbox = new Outbox({ messages: 2, bytes: Infinity }, stamp);
    outbox.add(
      ['feed:42:*', 'feed:*:new', 'user:[ab]'].map((glob) =>
        unsent(pattern(glob)),
      ),
    );
    expect(all(outbox).toSorted()).toEqual(['feed:*', 'user:*']);
  });

  it('escapes glob characters in an entity type', () => {
    const outbox = new Outbox({ messages: 1, bytes: Infinity }, stamp);
    outbox.add(['1', '2'].map((id) => unsent(entity('a*[b]?\\', id))));

    const [only] = outbox.take(Infinity);

    expect(affects(only!.message, buildCacheKey('a*[b]?\\', 'x'))).toBe(true);
    expect(affects(only!.message, 'aXb:x')).toBe(false);
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
    const outbox = new Outbox({ messages: 1, bytes: Infinity }, stamp);
    expect(outbox.add(invalidations.map((one) => unsent(one)))).toBe(true);
    expect(all(outbox)).toEqual(['*']);
  });

  it('collapses to everything when there are too many entity types to list', () => {
    const outbox = new Outbox({ messages: 100, bytes: Infinity }, stamp);
    const types = Array.from({ length: 101 }, (_, i) => `type-${i}`);
    expect(outbox.add(types.map((type) => unsent(entity(type, '1'))))).toBe(
      true,
    );
    expect(all(outbox)).toEqual(['*']);
  });

  it('collapses only beyond its limit of bytes', () => {
    const [one, two] = users('1', '2');
    const bytes = sizeOf(one!.message) + sizeOf(two!.message);
    const exact = new Outbox({ messages: 100, bytes }, stamp);
    expect(exact.add([one!, two!])).toBe(false);
    const smaller = new Outbox({ messages: 100, bytes: bytes - 1 }, stamp);
    expect(smaller.add([one!, two!])).toBe(true);
  });

  it('counts what a collapse left towards the limits', () => {
    const outbox = new Outbox({ messages: 3, bytes: Infinity }, stamp);
    outbox.add(users('1', '2', '3'));
    expect(outbox.add([unsent(entity('Post', '1'))])).toBe(true);
    expect(outbox.size).toBe(2);
    expect(outbox.add(users('4'))).toBe(false);
    expect(outbox.add(users('5'))).toBe(true);
    expect(all(outbox)).toEqual(['user:*', 'post:*']);

    const bytes = sizeOf(entity('User', '1')) + sizeOf(pattern('user:*'));
    const small = new Outbox({ messages: 100, bytes }, stamp);
    expect(small.add(users('1', '2'))).toBe(false);
    expect(small.add(users('3'))).toBe(true);
    expect(small.add(users('4'))).toBe(false);
    expect(small.add(users('5'))).toBe(true);
  });

  it('lists up to 16 entity types', () => {
    const types = (count: number): Unsent[] =>
      Array.from({ length: count }, (_, type) =>
        unsent(entity(`type-${type}`, '1')),
      );
    const outbox = new Outbox({ messages: 17, bytes: Infinity }, stamp);
    expect(outbox.add([...types(16), ...users('1', '2')])).toBe(true);
    expect(all(outbox)).toEqual(['*']);
    const same = ['2', '3'].map((id) => unsent(entity('type-0', id)));
    expect(outbox.add([...types(16), ...same])).toBe(true);
    expect(all(outbox)).toHaveLength(16);
  });

  it('collapses when putBack() exceeds the limit', () => {
    const outbox = new Outbox({ messages: 2, bytes: Infinity }, stamp);
    outbox.add(users('1', '2'));
    const taken = outbox.take(2);
    outbox.add(users('3'));

    expect(outbox.putBack(taken)).toBe(true);

    expect(all(outbox)).toEqual(['user:*']);
  });
});

describe('Outbox: messages covered by another message', () => {
  it('does not keep a message twice', () => {
    const outbox = new Outbox({ messages: 3, bytes: Infinity }, stamp);
    outbox.add(users('1', '2', '1'));
    expect(outbox.add(users('2', '1', '3', '3'))).toBe(false);

    expect(all(outbox)).toEqual(['User:1', 'User:2', 'User:3']);
  });

  it('does not count a repeated message towards the limit', () => {
    const outbox = new Outbox({ messages: 4, bytes: Infinity }, stamp);
    const keys = ['user:1', 'user:2', 'post:1'];
    outbox.add([unsent(batch(keys)), unsent(entity('User', '9'))]);
    expect(outbox.add([unsent(batch(keys)), ...users('9')])).toBe(false);

    expect(all(outbox)).toEqual([keys.join(), 'User:9']);
  });

  it.each<[string, Invalidation, Invalidation]>([
    [
      'another action',
      entity('User', '1'),
      entity('User', '1', { action: 'Update' }),
    ],
    ['another type', entity('User', '1'), entity('Post', '1')],
    [
      'other metadata',
      entity('User', '1', { metadata: { by: 'a' } }),
      entity('User', '1', { metadata: { by: 'b' } }),
    ],
    [
      'no metadata',
      entity('User', '1', { metadata: { by: 'a' } }),
      entity('User', '1'),
    ],
    ['another pattern', pattern('user:1*'), pattern('user:2*')],
    ['fewer keys', batch(['user:1', 'user:2']), batch(['user:1'])],
    ['keys in another order', batch(['a:1', 'a:2']), batch(['a:2', 'a:1'])],
    ['keys that run together', batch(['a:1,b:2']), batch(['a:1', 'b:2'])],
    ['a batch of one key', batch(['user:1']), entity('User', '1')],
  ])('keeps a message that differs in %s', (_, one, other) => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    const both = [unsent(one), unsent(other)];
    outbox.add(both);
    expect(outbox.take(Infinity)).toEqual(both);
  });

  it('keeps a message equal to one that was tried, which may be published already', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    const [first] = tried('5-0', '1');
    const [newer] = users('1');
    outbox.putBack([first!]);
    outbox.add([newer!]);
    outbox.add(users('1'));

    expect(outbox.take(Infinity)).toEqual([first, newer]);
  });

  it('does not keep a message twice after an equal one that was tried has left', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    outbox.add(tried('5-0', '1'));
    outbox.add(users('1'));
    expect(outbox.size).toBe(2);
    outbox.take(1);
    outbox.add(users('1'));
    expect(outbox.size).toBe(1);
  });

  it('keeps a tried message equal to a waiting one', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    const [newer] = users('1');
    const [left] = tried('-', '1');
    outbox.add([newer!]);
    outbox.add([left!]);

    expect(outbox.take(Infinity)).toEqual([newer, left]);
  });

  it('keeps a message equal to one that was taken', () => {
    const outbox = new Outbox({ messages: 10, bytes: Infinity }, stamp);
    outbox.add(users('1', '2'));
    outbox.take(1);
    outbox.add(users('1', '2'));

    expect(all(outbox)).toEqual(['User:2', 'User:1']);
  });

  it('compares new messages only with the collapsed ones after a collapse', () => {
    const outbox = new Outbox({ messages: 2, bytes: Infinity }, stamp);
    outbox.add(users('1', '2', '3'));
    outbox.add([unsent(pattern('user:*'))]);
    expect(outbox.size).toBe(1);
    outbox.add(users('1'));

    expect(all(outbox)).toEqual(['user:*', 'User:1']);
  });
});

describe('Outbox: positions', () => {
  const at = (invalidation: Invalidation, pg: string | null): Unsent => ({
    message: stamp(invalidation, pg === null ? null : { pg }),
    triedSince: null,
  });
  const user = (pg: string | null, id = '1') => at(entity('User', id), pg);
  const positions = (outbox: Outbox) =>
    outbox
      .take(Infinity)
      .map(({ message }) => [said(message), message.at?.['pg'] ?? null]);
  const ofLimit = (messages: number) =>
    new Outbox({ messages, bytes: Infinity }, stamp);

  it.each([
    ['the later one', '0/9', '0/A0', '0/A0'],
    ['its own if that is later', '0/A0', '0/9', '0/A0'],
    ['none where the other is unknown', '0/9', null, null],
    ['none where its own is unknown', null, '0/9', null],
  ])('a message gets %s of an equal one', (_, one, other, kept) => {
    const outbox = ofLimit(10);
    const waiting = user(one);
    outbox.add([waiting, user('0/1', '2'), user(other)]);
    expect(positions(outbox)).toEqual([
      ['User:1', kept],
      ['User:2', '0/1'],
    ]);
    expect(waiting.message.at?.['pg'] ?? null).toBe(one);
  });

  it('a message has its own after an equal one was taken', () => {
    const outbox = ofLimit(10);
    outbox.add([user('0/A0')]);
    outbox.take(1);
    outbox.add([user('0/9')]);
    expect(positions(outbox)).toEqual([['User:1', '0/9']]);
  });

  it('a collapse has the latest one, and none where one is unknown', () => {
    const outbox = ofLimit(2);
    outbox.add([user('0/9'), user('0/A0', '2'), at(entity('Post', 1), '0/1')]);
    expect(positions(outbox)).toEqual([
      ['user:*', '0/A0'],
      ['post:*', '0/A0'],
    ]);
    outbox.add([user('0/9'), user('0/A0', '2'), user(null, '3')]);
    expect(positions(outbox)).toEqual([['user:*', null]]);
  });

  it('a collapse gets the later one of an equal pattern', () => {
    const outbox = ofLimit(1);
    outbox.add([user('0/9'), user('0/A0', '2')]);
    outbox.add([at(pattern('user:*'), '0/B0')]);
    expect(positions(outbox)).toEqual([['user:*', '0/B0']]);
  });
});

describe('firstTryOf()', () => {
  it.each<[string, (string | null)[], string | null]>([
    ['is none for messages that were never tried', [null, null], null],
    ['is none for no messages', [], null],
    ['is the offset of the first that was tried', [null, '5-0', '7-0'], '5-0'],
    ['is the beginning if any is unknown', ['5-0', '-', null], '-'],
  ])('%s', (_, tries, expected) => {
    const some = tries.map((since) => unsent(entity('User', '1'), since));
    expect(firstTryOf(some)).toBe(expected);
  });
});

describe('Outbox: the replaced callback', () => {
  it('is called with each message that another one replaces', () => {
    const replaced: string[] = [];
    const outbox = new Outbox({ messages: 2, bytes: Infinity }, stamp, (id) =>
      replaced.push(id),
    );
    const ids = (some: Unsent[]) =>
      some.map(({ message }) => message.messageId);
    const [first, second, again, third] = users('1', '2', '1', '3');

    outbox.add([first!, second!, again!]);
    expect(replaced).toEqual(ids([again!]));

    outbox.add([third!]);
    expect(replaced).toEqual(ids([again!, first!, second!, third!]));
  });
});

describe('Outbox: properties under random operations', () => {
  const types = ['User', 'Post', 'session', 'a*b', '[x', 'q?\\'];
  const ids = ['1', '42:a', '*', 'é'];
  const keys = types.flatMap((type) =>
    ids.map((id) => buildCacheKey(type, id)),
  );
  const type = fc.constantFrom(...types);
  const id = fc.constantFrom(...ids);
  const anyInvalidation: fc.Arbitrary<Invalidation> = fc.oneof(
    fc.tuple(type, id).map(([t, i]) => entity(t, i)),
    fc
      .tuple(type, id)
      .map(([t, i]) => entity(t, i, { action: 'Update', metadata: i })),
    fc.subarray(keys, { minLength: 1 }).map((some) => batch(some)),
    fc.tuple(type, id).map(([t, i]) => pattern(buildPattern(t, `${i}*`))),
    fc.constantFrom('us*', '*:1', '[pu]*', 'u\\ser:*', 'a\\*b:?', '?*').map(
      // A pattern such as '?*' is rejected if it means everything.
      (glob) => (glob === '?*' ? everything() : pattern(glob)),
    ),
  );
  const triedSince = fc.constantFrom(null, null, '-', '5-0');
  const position = fc.option(
    fc.constantFrom('0/1', '0/9', '0/A0', '1/0').map((pg) => ({ pg })),
  );
  const some = fc
    .array(fc.tuple(anyInvalidation, triedSince, position), { maxLength: 4 })
    .map((each) =>
      each.map(([one, since, at]): Unsent => ({
        message: stamp(one, at),
        triedSince: since,
      })),
    );
  const anyStep = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), some }),
    fc.record({ kind: fc.constant('send' as const), count: fc.nat(4) }),
    fc.record({
      kind: fc.constant('fail' as const),
      count: fc.nat(4),
      /** Messages that were added during the try. */
      some,
    }),
  );

  const weightOf = (taken: readonly Unsent[]): number =>
    taken.reduce(
      (sum, { message }) => sum + Math.max(1, message.entityIds?.length ?? 1),
      0,
    );
  const affectedBy = (messages: readonly Unsent[]): string[] =>
    keys.filter((key) => messages.some(({ message }) => affects(message, key)));

  const idsOf = (taken: readonly Unsent[]): string[] =>
    taken.map(({ message }) => message.messageId);

  /** Whether a position is not earlier than another; receivers ask for an unknown one. */
  const isAsLate = (
    one: CommitPosition | null,
    other: CommitPosition | null,
  ): boolean =>
    one === null ||
    (other !== null && parseLsn(one['pg']!)! >= parseLsn(other['pg']!)!);

  const withoutRepeats = (added: readonly Unsent[]): Unsent[] => {
    const contents = new Set<string>();
    return added.filter(({ message, triedSince: since }) => {
      const { action, metadata } = message;
      const content = JSON.stringify([action, said(message), metadata]);
      return since !== null || contents.size < contents.add(content).size;
    });
  };

  it('covers every added message, and never exceeds its limit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(anyStep, { maxLength: 12 }),
        (limit, steps) => {
          const outbox = new Outbox(
            { messages: limit, bytes: Infinity },
            stamp,
          );
          /** Messages with the number of sent ones when they were added. */
          const added: { one: Unsent; sentBefore: number }[] = [];
          const sent: Unsent[] = [];
          const add = (more: readonly Unsent[]): void => {
            for (const one of more)
              added.push({ one, sentBefore: sent.length });
            outbox.add(more);
          };
          for (const step of steps) {
            if (step.kind === 'add') {
              add(step.some);
            } else if (step.kind === 'send') {
              sent.push(...outbox.take(step.count));
            } else {
              const taken = outbox.take(step.count);
              add(step.some);
              outbox.putBack(
                taken.map(({ message }) => ({ message, triedSince: '7-0' })),
              );
            }
            expect(outbox.size).toBeLessThanOrEqual(limit);
          }
          const rest = outbox.take(Infinity);
          expect(weightOf(rest)).toBeLessThanOrEqual(limit);
          expect(outbox.size).toBe(0);
          sent.push(...rest);
          for (const { one, sentBefore } of added) {
            const after = sent
              .slice(sentBefore)
              .filter(({ message: { at } }) => isAsLate(at, one.message.at));
            expect(affectedBy(after)).toEqual(
              expect.arrayContaining(affectedBy([one])),
            );
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  it('returns messages in their order without duplicates when nothing had to collapse', () => {
    fc.assert(
      fc.property(
        fc.array(some, { maxLength: 6 }),
        fc.nat(5),
        (additions, count) => {
          const outbox = new Outbox(
            { messages: 1_000, bytes: Infinity },
            stamp,
          );
          for (const more of additions) outbox.add(more);
          outbox.putBack(outbox.take(count));
          expect(idsOf(outbox.take(Infinity))).toEqual(
            idsOf(withoutRepeats(additions.flat())),
          );
        },
      ),
    );
  });

  it('forgets all messages once everything was taken', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 12 }), some, (steps, last) => {
        const outbox = new Outbox({ messages: 1_000, bytes: Infinity }, stamp);
        for (const step of steps) {
          if (step.kind === 'add') outbox.add(step.some);
          else if (step.kind === 'send') outbox.take(step.count);
          else outbox.putBack(outbox.take(step.count));
        }
        outbox.take(Infinity);
        outbox.add(last);
        expect(idsOf(outbox.take(Infinity))).toEqual(
          idsOf(withoutRepeats(last)),
        );
      }),
    );
  });
});
