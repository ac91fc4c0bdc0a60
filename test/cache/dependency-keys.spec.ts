import { describe, expect, it, vi } from 'vitest';
import {
  Dependencies,
  DependencyGuard,
  parseDependencies,
} from '../../lib/cache/dependencies.js';
import { CallbackFailedError } from '../../lib/errors/index.js';
import {
  batch,
  entity,
  everything,
  IdNormalizer,
  pattern,
} from '../../lib/message/index.js';

function dependenciesOf(
  selected: unknown,
  value: unknown = {},
  ids: IdNormalizer | null = null,
) {
  const failures: CallbackFailedError[] = [];
  const select = vi.fn(() => selected as never);
  const dependencies = new Dependencies('Feeds', select, ids, (error) =>
    failures.push(error),
  );
  return { keys: dependencies.of(value), failures, select };
}

/** Keys of as many characters together. */
function keysOfLength(count: number, characters: number): string[] {
  const keys = Array.from({ length: count }, (_, at) => `post:${at}`);
  const rest = characters - keys.join('').length;
  return [...keys.slice(1), `${keys[0]}${'x'.repeat(rest)}`];
}

describe('Dependencies', () => {
  it.each([
    ['an entity', entity('Post', 1), ['post:1']],
    ['an update', entity('Post', 1, { action: 'Update' }), ['post:1']],
    ['a batch', batch(['post:1', 'user:2']), ['post:1', 'user:2']],
    ['a pattern, as its type', pattern('post:a*'), ['post:']],
    ['a pattern of several types, as everything', pattern('p*'), ['']],
    ['everything', everything(), ['']],
    ['nothing', [], []],
    [
      'a list, each once',
      [entity('Post', 1), batch(['post:1', 'post:2'])],
      ['post:1', 'post:2'],
    ],
  ])('are the keys of %s', (_, selected, keys) => {
    expect(dependenciesOf(selected)).toMatchObject({ keys, failures: [] });
  });

  it('asks for none of a value that does not exist', () => {
    for (const value of [null, undefined]) {
      const dependencies = new Dependencies(
        'Feeds',
        () => expect.unreachable(),
        null,
        () => expect.unreachable(),
      );
      expect(dependencies.of(value)).toEqual([]);
    }
    expect(dependenciesOf(entity('Post', 1), 0).keys).toEqual(['post:1']);
  });

  it('are normalized by the forms of ids', () => {
    const ids = IdNormalizer.of({ Post: (id: string) => id.toLowerCase() });
    expect(dependenciesOf(entity('Post', 'ABC'), {}, ids).keys).toEqual([
      'post:abc',
    ]);
  });

  it.each([
    ['a text', 'post:1'],
    ['nothing', undefined],
    ['null', null],
    ['a list with something else', [entity('Post', 1), { action: 'Refresh' }]],
  ])('are not known if the selector returns %s', (_, selected) => {
    const { keys, failures } = dependenciesOf(selected);
    expect(keys).toBeNull();
    expect(failures).toHaveLength(1);
    expect(failures[0]).toBeInstanceOf(CallbackFailedError);
    expect(failures[0]).toMatchObject({ source: 'Feeds', advice: '' });
    expect(failures[0]!.message).toContain(
      'could not find out what a value depends on (option dependsOn), and did not keep it',
    );
    expect(failures[0]!.message).toContain(
      'it returned something that is not an invalidation (return what entity(), batch() and pattern() make)',
    );
  });

  it('are not known if the selector returns a promise', () => {
    const { keys, failures } = dependenciesOf(Promise.resolve([]));
    expect(keys).toBeNull();
    expect(failures[0]!.message).toContain('a promise');
  });

  it('are their types beyond 256 keys, and everything beyond 256 types', () => {
    const keys = keysOfLength(257, 5_000);
    expect(dependenciesOf(batch(keys.slice(1))).keys).toEqual(keys.slice(1));
    expect(dependenciesOf(batch(keys)).keys).toEqual(['post:']);
    const types = Array.from({ length: 257 }, (_, at) => `t${at}:1`);
    expect(dependenciesOf(batch(types)).keys).toEqual(['']);
  });

  it('are their types beyond 65,536 characters', () => {
    const [fitting, longer] = [
      keysOfLength(200, 65_536),
      keysOfLength(200, 65_537),
    ];
    expect(dependenciesOf(batch(fitting)).keys).toEqual(fitting);
    expect(dependenciesOf(batch(longer)).keys).toEqual(['post:']);
  });
});

describe('parseDependencies()', () => {
  it('reads a list of texts, and nothing else', () => {
    expect(parseDependencies('["post:1","user:"]')).toEqual([
      'post:1',
      'user:',
    ]);
    expect(parseDependencies('[]')).toEqual([]);
    for (const text of [
      '',
      '[',
      '{}',
      'null',
      '"post:1"',
      '[1]',
      '[["post:1"]]',
      '["post:1",1]',
    ]) {
      expect(parseDependencies(text)).toBeNull();
    }
  });

  it('reads no more than an entry is stored with', () => {
    const keys = keysOfLength(257, 5_000);
    expect(parseDependencies(JSON.stringify(keys.slice(1)))).toHaveLength(256);
    expect(parseDependencies(JSON.stringify(keys))).toBeNull();
    const longer = keysOfLength(200, 65_537);
    expect(parseDependencies(JSON.stringify(longer))).toBeNull();
  });
});

describe('DependencyGuard', () => {
  /** A fence that holds until the test breaks it for a key; '' breaks with any. */
  class HandFence {
    readonly broken = new Set<string>();
    holds(...keys: string[]): boolean {
      return !keys.some((key) => this.broken.has(key));
    }
    break(...keys: string[]): void {
      for (const key of ['', ...keys]) this.broken.add(key);
    }
  }

  it('holds until a dependency is invalidated, and takes a new fence after each other message', () => {
    const fences = [new HandFence(), new HandFence(), new HandFence()];
    const newFence = vi.fn(() => fences[newFence.mock.calls.length]!);
    const guard = new DependencyGuard(
      ['post:1', 'post:2'],
      fences[0]!,
      newFence,
    );
    expect([guard.holds(), guard.holds()]).toEqual([true, true]);
    expect(newFence).not.toHaveBeenCalled();
    fences[0]!.break('user:1');
    expect([guard.holds(), guard.holds()]).toEqual([true, true]);
    expect(newFence).toHaveBeenCalledOnce();
    // Forgotten by fences by now.
    fences[0]!.break('post:1');
    expect(guard.holds()).toBe(true);
    fences[1]!.break('post:2');
    expect([guard.holds(), guard.holds()]).toEqual([false, false]);
    expect(newFence).toHaveBeenCalledOnce();
  });
});
