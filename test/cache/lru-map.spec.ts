import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  LruEntry,
  LruMap,
  type LruVisit,
} from '../../lib/cache/near/lru-map.js';

const TABLE_SIZE = 16_384;

const KINDS = [
  ...(['get', 'get', 'peek', 'set', 'set', 'set', 'delete', 'hide'] as const),
  ...(['pass', 'tidy', 'begin', 'next', 'next', 'end'] as const),
];

interface Act {
  readonly kind: (typeof KINDS)[number];
  readonly name: string;
  readonly ttl: number;
}

const clock = { now: 1 };
beforeEach(() => {
  clock.now = 1;
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
});
afterEach(() => vi.restoreAllMocks());

function mapOf(count: number, max = count): LruMap<LruEntry> {
  const map = new LruMap<LruEntry>(max);
  for (let at = 0; at < count; at++) map.set(new LruEntry(`${at}`, Infinity));
  return map;
}

function hide(map: LruMap<LruEntry>, count: number): void {
  for (let at = 0; at < count; at++) map.hide(map.peek(`${at}`)!);
}

function rest(visit: LruVisit<LruEntry>): string[] {
  const names: string[] = [];
  for (let at = visit.next(); at !== null; at = visit.next()) {
    names.push(at.name);
  }
  return names;
}

describe('LruMap', () => {
  it('removes the least recently used entry when it is full', () => {
    const map = mapOf(3);
    map.get('0');
    map.peek('1');
    map.set(new LruEntry('3', Infinity));
    map.set(new LruEntry('2', Infinity));
    expect(rest(map.visit())).toEqual(['0', '3', '2']);
  });

  it.each([
    ['-eu', 1],
    ['@example.com', 1],
    [':profile:v1', 1],
    ['', 100],
  ])('spreads names that share the end %j over its tables', (end, step) => {
    const count = 4 * TABLE_SIZE;
    const map = new LruMap<LruEntry>(count);
    for (let at = 0; at < count; at++) {
      const entry = new LruEntry(`u${at * step}${end}`, Infinity);
      map.set(entry);
      map.hide(entry);
    }
    let tables = 0;
    while (map.tidy()) tables++;
    expect(tables).toBe(4);
  });

  it('removes the oldest entry also while a visit begins and ends there', () => {
    for (const steps of [0, 1, 2]) {
      const map = mapOf(2);
      const visit = map.visit();
      for (let at = 0; at < steps; at++) visit.next();
      map.set(new LruEntry('2', Infinity));
      map.set(new LruEntry('3', Infinity));
      map.set(new LruEntry('4', Infinity));
      visit.end();
      expect(rest(map.visit())).toEqual(['3', '4']);
      expect(map.size).toBe(2);
    }
  });

  it('finds an entry until the moment when it expires', () => {
    const map = new LruMap<LruEntry>(10);
    map.set(new LruEntry('a', 50));
    clock.now = 49.9;
    expect([map.get('a')?.name, map.size]).toEqual(['a', 1]);
    clock.now = 50;
    expect([map.peek('a'), map.size]).toEqual([undefined, 0]);
  });

  it.each([1, 149, 150, 151, 299, 300])(
    'has the other entries, and room for new ones, once %d of 300 hidden ones are removed',
    (hidden) => {
      const map = mapOf(300);
      hide(map, hidden);
      expect([map.tidy(), map.tidy()]).toEqual([true, false]);
      const found = Array.from({ length: 300 }, (_, at) => map.get(`${at}`));
      expect(found.filter((entry) => entry !== undefined)).toHaveLength(
        300 - hidden,
      );
      for (let at = 0; at < hidden; at++) {
        map.set(new LruEntry(`${at}`, Infinity));
      }
      expect(map.size).toBe(300);
      expect(map.peek(`${hidden}`)?.name).toBe(
        hidden === 300 ? undefined : `${hidden}`,
      );
    },
  );

  it.each([1, 149, 150, 151, 299, 300])(
    'forgets %i hidden entries of 300, so that each name can be hidden again',
    (count) => {
      const map = mapOf(300);
      for (let round = 0; round < 3; round++) {
        hide(map, count);
        expect([map.tidy(), map.tidy()]).toEqual([true, false]);
        for (let at = 0; at < count; at++) {
          map.set(new LruEntry(`${at}`, Infinity));
        }
        // An entry that was left behind would be counted as removed only now.
        expect([map.tidy(), map.size]).toEqual([false, 300]);
      }
    },
  );

  it('removes hidden entries a table at a time', () => {
    const map = mapOf(4 * TABLE_SIZE);
    hide(map, 4 * TABLE_SIZE);
    const calls = [1, 2, 3, 4, 5].map(() => map.tidy());
    expect(calls).toEqual([true, true, true, true, false]);
  });

  it('counts a hidden entry that is replaced or removed once', () => {
    const map = mapOf(3);
    hide(map, 2);
    map.set(new LruEntry('0', Infinity));
    map.delete('1');
    expect([map.size, map.tidy()]).toEqual([2, false]);
    expect(map.peek('0')?.name).toBe('0');
  });

  it('visits an entry once, though it is used during the visit', () => {
    const map = mapOf(4);
    const visit = map.visit();
    visit.next();
    map.get('2');
    map.get('0');
    expect(rest(visit)).toEqual(['1', '3']);
    visit.end();
    expect(rest(map.visit())).toEqual(['1', '3', '2', '0']);
  });

  it('does the same as a list of entries in the order of use', () => {
    const act = fc.record({
      kind: fc.constantFrom(...KINDS),
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
      ttl: fc.integer({ min: 1, max: 30 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        clock.now = 1;
        const both = new Both(5);
        for (const each of acts) {
          const [actual, expected] = both.act(each);
          expect(actual).toBe(expected);
        }
        expect(both.map.size).toBe(both.list.length);
        both.visit?.end();
        expect(rest(both.map.visit())).toEqual(both.list.map((e) => e.name));
      }),
      { numRuns: 1_000 },
    );
  });
});

/** A map, and a list that does the same slowly. */
class Both {
  readonly map: LruMap<LruEntry>;
  list: LruEntry[] = [];
  visit: LruVisit<LruEntry> | null = null;
  /** Entries whose turn in the visit is still to come. */
  due: LruEntry[] = [];

  constructor(private readonly max: number) {
    this.map = new LruMap(max);
  }

  /** @returns what the map answered, and the answer of the list */
  act({ kind, name, ttl }: Act): readonly [unknown, unknown] {
    switch (kind) {
      case 'get':
      case 'peek': {
        const found = this.#find(name);
        if (found !== undefined && kind === 'get') {
          this.#remove(found);
          this.list.push(found);
        }
        return [this.map[kind](name), found];
      }
      case 'set': {
        this.#remove(this.list.find((entry) => entry.name === name));
        const entry = new LruEntry(name, clock.now + ttl);
        this.list.push(entry);
        this.map.set(entry);
        if (this.list.length > this.max) this.#remove(this.list[0]);
        break;
      }
      case 'delete':
        this.#remove(this.list.find((entry) => entry.name === name));
        this.map.delete(name);
        break;
      case 'hide': {
        const found = this.#find(name);
        if (found !== undefined) this.map.hide(found);
        this.#remove(found);
        break;
      }
      case 'tidy':
        this.map.tidy();
        break;
      case 'pass':
        clock.now += 10;
        break;
      case 'begin':
        this.visit?.end();
        this.visit = this.map.visit();
        this.due = [...this.list];
        break;
      case 'next':
        if (this.visit === null) break;
        return [this.visit.next(), this.due.shift() ?? null];
      case 'end':
        this.visit?.end();
        this.visit = null;
        this.due = [];
    }
    return [this.map.size, this.list.length];
  }

  /** An entry that is there; one that has expired is removed. */
  #find(name: string): LruEntry | undefined {
    const found = this.list.find((entry) => entry.name === name);
    if (found === undefined || clock.now < found.expires) return found;
    this.map.peek(name);
    this.#remove(found);
    return undefined;
  }

  #remove(entry: LruEntry | undefined): void {
    this.list = this.list.filter((each) => each !== entry);
    this.due = this.due.filter((each) => each !== entry);
  }
}
