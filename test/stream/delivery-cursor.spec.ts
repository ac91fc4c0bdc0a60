import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JOURNAL_START } from '../../lib/message/index.js';
import {
  DeliveryCursor,
  type CursorLimits,
  type Journaled,
} from '../../lib/stream/index.js';
import {
  CursorWorld,
  Fresh,
  hostileSchedule,
  schedule,
  type Entry,
  type Step,
} from './cursor.world.js';

/** The message at an offset, which follows the one before it unless told. */
function at(offset: number, previous = offset - 1): Journaled {
  return { offset: `${offset}-0`, previous: `${previous}-0` };
}

/** Claims the same place, and says something else. */
const forge = (message: Journaled): Journaled & { forged: true } => ({
  ...message,
  forged: true,
});

const ROOMY: CursorLimits = {
  held: { messages: 1_000, bytes: Infinity },
  remembered: 1_000,
  horizon: { allows: () => true },
};

/** A cursor, and what it says: offsets, replayed ones with an `r`, or `*`. */
class Desk {
  readonly said: string[] = [];
  readonly cursor: DeliveryCursor<Journaled>;

  constructor(limits = ROOMY) {
    this.cursor = new DeliveryCursor<Journaled>(
      {
        deliver: ({ offset }, replayed) =>
          this.said.push(`${parseInt(offset)}${replayed ? 'r' : ''}`),
        widen: () => this.said.push('*'),
      },
      limits,
      () => 1,
      isDeepStrictEqual,
    );
  }

  /** Stands at this offset, having heard everything before. */
  static at(offset: number, limits = ROOMY): Desk {
    const desk = new Desk(limits);
    desk.cursor.begin(`${offset}-0`);
    return desk;
  }

  /** What the subscriber does with each message. */
  hear(...messages: Journaled[]): void {
    for (const message of messages) {
      const { previous, offset } = message;
      if (this.cursor.advance(previous, offset, message)) {
        this.said.push(`${parseInt(offset)}`);
      } else this.cursor.receive(message);
    }
  }

  /** All that the journal holds from the position on. */
  read(...entries: Journaled[]): boolean {
    this.cursor.beginReading();
    return this.cursor.replay(entries, true);
  }

  get position(): number | null {
    const { position } = this.cursor;
    return position === null ? null : parseInt(position);
  }
}

describe('a message heard', () => {
  it('that names the position follows, and is delivered at once', () => {
    const desk = Desk.at(1);
    desk.hear(at(2), at(3));
    expect(desk.said).toEqual(['2', '3']);
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('at the position itself is a duplicate', () => {
    const desk = Desk.at(1);
    desk.hear(at(2), at(2));
    expect(desk.said).toEqual(['2']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('that claims the place of another one is delivered, whichever came first', () => {
    const desk = Desk.at(1);
    const forged = forge(at(2));
    desk.hear(forged, at(2), forged, at(3), forge(at(3)));
    expect(desk.said).toEqual(['2', '2', '3', '3']);
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('in the place of another one, which the journal has, is found out when that is read', () => {
    const desk = Desk.at(1);
    desk.hear(forge(at(2)));
    desk.cursor.lost();
    desk.cursor.doubt();
    expect(desk.read(at(2), at(3)), 'not the journal it has heard').toBe(false);
    desk.cursor.restart('3-0');
    expect(desk.said).toEqual(['2', '*']);
  });

  it('that follows another one is held until the journal was read', () => {
    const desk = Desk.at(1);
    desk.hear(at(3), at(4));
    expect(desk.said).toEqual([]);
    expect(desk.cursor.catchingUp).toBe(true);

    expect(desk.read(at(1), at(2), at(3), at(4))).toBe(true);

    expect(desk.said).toEqual(['2r', '3r', '4r']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('behind the position is no duplicate: the journal may count over again', () => {
    const desk = Desk.at(7);
    desk.hear(at(5, 3));
    expect(desk.cursor.catchingUp).toBe(true);
    expect(desk.read(), 'nothing from 7 on').toBe(false);
    desk.cursor.restart('5-0');
    expect(desk.said).toEqual(['*']);
    expect(desk.position).toBe(5);
  });

  it('behind the position, of a journal that still stands, is delivered again', () => {
    const desk = Desk.at(7);
    desk.hear(at(5));
    expect(desk.read(at(7), at(8))).toBe(true);
    expect(desk.said).toEqual(['8r', '5']);
    expect(desk.position).toBe(8);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it.each([
    ['its own offset is not a later one', at(5, 7)],
    ['its own offset is beyond what can exist', at(900, 7)],
  ])(
    'that names the position does not follow if %s: the journal is asked',
    (_, forged) => {
      const desk = Desk.at(7, {
        ...ROOMY,
        horizon: { allows: (offset) => parseInt(offset) <= 100 },
      });
      desk.hear(forged);
      expect(desk.position).toBe(7);
      expect(desk.read(at(7), at(8))).toBe(true);
      // It is obeyed, and moves nothing.
      expect(desk.said).toEqual(['8r', String(parseInt(forged.offset))]);
      expect(desk.position).toBe(8);
    },
  );

  it('that is held does not follow what it cannot follow', () => {
    const desk = Desk.at(7);
    desk.cursor.doubt();
    desk.hear(at(5, 7));
    expect(desk.read(at(7))).toBe(true);
    expect(desk.said).toEqual(['5']);
    expect(desk.position).toBe(7);
  });

  it('while there is no position is delivered as it comes', () => {
    const desk = new Desk();
    desk.hear(at(2), at(9), at(2));
    expect(desk.said).toEqual(['2', '9', '2']);
    expect(desk.position).toBe(null);
  });

  it('that names its own place as the one before it is a duplicate', () => {
    const desk = Desk.at(7);
    desk.hear(at(7, 7));
    expect(desk.said).toEqual([]);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('from another writer, which names no previous offset, is looked up', () => {
    const desk = Desk.at(1);
    desk.hear({ offset: '2-0', previous: null });
    expect(desk.read(at(1), at(2))).toBe(true);
    expect(desk.said).toEqual(['2r']);
  });
});

describe('a doubt', () => {
  it('holds even what would follow', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    desk.hear(at(2));
    expect(desk.said).toEqual([]);
    expect(desk.read(at(1))).toBe(true);
    expect(desk.said).toEqual(['2']);
  });

  it('is none where there is no position to have missed something after', () => {
    const { cursor } = new Desk();
    cursor.doubt();
    expect(cursor.catchingUp).toBe(false);
  });

  it('ends with nothing said if nothing was missed', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    expect(desk.read(at(1))).toBe(true);
    expect(desk.said).toEqual([]);
    expect(desk.cursor.catchingUp).toBe(false);
  });
});

describe('what the journal holds', () => {
  it('comes in pages, of which only the last releases what is held', () => {
    const desk = Desk.at(1);
    desk.hear(at(5));
    desk.cursor.beginReading();
    expect(desk.cursor.replay([at(1), at(2)], false)).toBe(true);
    expect(desk.cursor.catchingUp).toBe(true);
    desk.hear(at(6));
    desk.cursor.beginReading();
    expect(desk.cursor.replay([at(2), at(3), at(4)], true)).toBe(true);
    expect(desk.said).toEqual(['2r', '3r', '4r', '5', '6']);
    expect(desk.position).toBe(6);
  });

  it('is complete from the beginning of an empty journal on', () => {
    const desk = new Desk();
    desk.cursor.begin(JOURNAL_START);
    desk.cursor.doubt();
    expect(desk.read(at(1), at(2))).toBe(true);
    expect(desk.said).toEqual(['1r', '2r']);
    expect(desk.position).toBe(2);
  });

  it('is not delivered a second time when the channel brings it late', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    desk.read(at(1), at(2), at(3));
    desk.hear(at(2), at(3), at(4));
    expect(desk.said).toEqual(['2r', '3r', '4']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('is remembered within a limit: what is older is looked up again', () => {
    const desk = Desk.at(1, {
      ...ROOMY,
      held: { messages: 10, bytes: Infinity },
      remembered: 2,
    });
    desk.cursor.doubt();
    desk.read(at(1), at(2), at(3), at(4));
    desk.hear(at(3), at(4));
    expect(desk.cursor.catchingUp).toBe(false);
    desk.hear(at(2));
    expect(desk.cursor.catchingUp).toBe(true);
    expect(desk.read(at(4))).toBe(true);
    expect(desk.said).toEqual(['2r', '3r', '4r', '2']);
  });

  it.each<[title: string, entries: Journaled[]]>([
    ['nothing at all', []],
    ['nothing near: trimmed away', [at(5), at(6)]],
    ['the next one without its own: trimmed, or forged', [at(4), at(5)]],
    ['another history after it', [at(3), at(4, 2)]],
    ['a hole', [at(3), at(4), at(6)]],
    ['its own entry a second time', [at(3), at(3), at(4)]],
  ])('does not make up for it: %s', (_, entries) => {
    const desk = Desk.at(3);
    desk.cursor.doubt();
    expect(desk.read(...entries)).toBe(false);
    expect(desk.cursor.catchingUp, 'held until the tail is known').toBe(true);

    desk.cursor.restart('9-0');
    desk.hear(at(10));

    expect(desk.said.slice(-2)).toEqual(['*', '10']);
    expect(desk.position).toBe(10);
  });

  it('is read once more for a gap that opened after the reading', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    desk.cursor.beginReading();
    desk.hear(at(4));
    expect(desk.cursor.replay([at(1), at(2)], true)).toBe(true);
    expect(desk.said).toEqual(['2r']);
    expect(desk.cursor.catchingUp).toBe(true);
    expect(desk.read(at(2), at(3), at(4))).toBe(true);
    expect(desk.said).toEqual(['2r', '3r', '4r']);
    expect(desk.cursor.catchingUp).toBe(false);
  });
});

describe('a restart', () => {
  it('covers what was held', () => {
    const desk = Desk.at(1);
    desk.hear(at(5));
    desk.cursor.restart('5-0');
    desk.hear(at(6));
    expect(desk.said).toEqual(['*', '6']);
  });

  it('without a tail delivers as it comes until one is known', () => {
    const desk = Desk.at(1);
    desk.cursor.restart(null);
    desk.hear(at(5), at(9));
    desk.cursor.restart('9-0');
    desk.hear(at(10));
    expect(desk.said).toEqual(['*', '5', '9', '*', '10']);
  });

  it('is what more than may be held collapses to', () => {
    const desk = Desk.at(1, {
      ...ROOMY,
      held: { messages: 2, bytes: Infinity },
      remembered: 2,
    });
    desk.hear(at(5), at(6));
    expect(desk.said).toEqual([]);
    desk.hear(at(7));
    expect(desk.said).toEqual(['*']);
    expect(desk.position).toBe(null);
    expect(desk.cursor.catchingUp).toBe(false);
  });
});

describe('held messages', () => {
  it('collapse by their bytes too', () => {
    const desk = Desk.at(1, {
      ...ROOMY,
      held: { messages: 10, bytes: 2 },
    });
    desk.hear(at(5), at(6));
    expect(desk.said).toEqual([]);
    desk.hear(at(7));
    expect(desk.said).toEqual(['*']);
    // And no longer count.
    desk.cursor.restart('7-0');
    desk.hear(at(9), at(10));
    expect(desk.said).toEqual(['*', '*']);
    expect(desk.cursor.catchingUp).toBe(true);
  });
});

describe('held messages that another reading has to wait for', () => {
  it('still count by their bytes', () => {
    const desk = Desk.at(1, { ...ROOMY, held: { messages: 10, bytes: 2 } });
    desk.cursor.doubt();
    desk.cursor.beginReading();
    desk.hear(at(5), at(6));
    expect(desk.cursor.replay([at(1), at(2)], true)).toBe(true);
    expect(desk.cursor.catchingUp).toBe(true);
    desk.hear(at(7));
    expect(desk.said).toEqual(['2r', '*']);
  });
});

describe('the beginning', () => {
  it('is the end of the journal, as read a moment ago', () => {
    const desk = new Desk();
    desk.cursor.begin('7-0');
    desk.hear(at(8));
    expect(desk.said).toEqual(['8']);
    expect(desk.position).toBe(8);
  });

  it('is later if more was delivered since that was read', () => {
    const desk = new Desk();
    desk.hear(at(8), at(9));
    desk.cursor.begin('7-0');
    desk.hear(at(10));
    expect(desk.said).toEqual(['8', '9', '10']);
    expect(desk.position).toBe(10);
  });

  it('is not earlier, whatever was delivered before that was read', () => {
    const desk = new Desk();
    desk.hear(at(5));
    desk.cursor.begin('7-0');
    expect(desk.position).toBe(7);
  });

  it('is not later by what cannot exist', () => {
    const desk = new Desk({
      ...ROOMY,
      horizon: { allows: (offset) => parseInt(offset) <= 100 },
    });
    desk.hear(at(900));
    desk.cursor.begin('7-0');
    expect(desk.said).toEqual(['900']);
    expect(desk.position).toBe(7);
  });

  it('goes by what this subscription delivered, not an earlier one', () => {
    const desk = new Desk();
    desk.hear(at(9));
    desk.cursor.lost();
    desk.cursor.begin('7-0');
    expect(desk.position).toBe(7);
  });
});

describe('a lost subscription', () => {
  it('leaves the position, and forgets what was held', () => {
    const desk = Desk.at(3);
    desk.hear(at(5));
    desk.cursor.lost();
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);

    desk.cursor.doubt();
    expect(desk.read(at(3), at(4), at(5))).toBe(true);
    expect(desk.said).toEqual(['4r', '5r']);
  });

  it('at the beginning of an empty journal leaves none: it may be another', () => {
    const desk = new Desk();
    desk.cursor.begin(JOURNAL_START);
    desk.cursor.lost();
    expect(desk.position).toBe(null);
  });
});

/** Any interleaving; then peace, in which what was in flight may still be lost. */
function play(
  world: CursorWorld,
  steps: readonly Step[],
  arrives: boolean,
): number {
  for (const step of steps) world.take(step);
  return world.settle(arrives);
}

const isFresh = (each: Entry | Fresh): each is Fresh => each instanceof Fresh;

/** What was said since the last time all before was covered, and what that is. */
interface Stretch {
  readonly covered: number;
  readonly entries: Entry[];
}

function stretches({ said }: CursorWorld): Stretch[] {
  const all: Stretch[] = [{ covered: 0, entries: [] }];
  for (const each of said) {
    if (isFresh(each)) all.push({ covered: each.covers, entries: [] });
    else all.at(-1)!.entries.push(each);
  }
  return all;
}

/** Messages that were neither delivered nor covered by a later "everything". */
function missed(world: CursorWorld): Entry[] {
  const delivered = new Set(world.said);
  return world.published
    .slice(stretches(world).at(-1)!.covered)
    .filter((entry) => !delivered.has(entry) && !world.forgotten.has(entry.id));
}

function wasWidened({ said }: CursorWorld): boolean {
  return said.some((each) => isFresh(each) && each.cause === 'widened');
}

const limits = fc.oneof(
  fc.constant(ROOMY),
  fc.record({
    held: fc.record({
      messages: fc.integer({ min: 1, max: 6 }),
      bytes: fc.integer({ min: 1, max: 6 }),
    }),
    remembered: fc.integer({ min: 1, max: 4 }),
    horizon: fc.constant(ROOMY.horizon),
  }),
);

describe('whatever happens', () => {
  it('every message is delivered, or covered by a later "everything"', () => {
    let replays = 0;
    let widened = 0;
    let exact = 0;
    fc.assert(
      fc.property(
        limits,
        schedule(),
        fc.boolean(),
        (bounds, steps, arrives) => {
          const world = new CursorWorld(bounds);
          play(world, steps, arrives);
          expect(missed(world)).toEqual([]);
          expect(world.quiet, 'nothing is held back').toBe(true);
          expect(world.cursor.position).toBe(world.tail);
          replays += world.replays;
          if (wasWidened(world)) widened++;
          else if (world.replays > 0) exact++;
        },
      ),
      { numRuns: 4_000 },
    );
    // It is worth something only if all of this happens.
    expect(replays).toBeGreaterThan(4_000);
    expect(widened).toBeGreaterThan(1_000);
    expect(exact).toBeGreaterThan(100);
  });

  it('catching up comes to an end', () => {
    fc.assert(
      fc.property(
        limits,
        schedule(),
        fc.boolean(),
        (bounds, steps, arrives) => {
          const world = new CursorWorld(bounds);
          const readings = play(world, steps, arrives);
          // A page holds three new ones; then the end, a tail, and once more.
          expect(readings).toBeLessThan(world.published.length / 3 + 12);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe.each([
  ['published with a false place', 'forge'],
  ['written into the journal, which is trimmed', 'forge-entry'],
] as const)('whatever is %s', (_, forgery) => {
  it('every message is delivered, or covered by a later "everything"', () => {
    let forged = 0;
    fc.assert(
      fc.property(limits, hostileSchedule(forgery), (bounds, steps) => {
        const world = new CursorWorld(bounds);
        play(world, steps, true);
        expect(missed(world)).toEqual([]);
        expect(world.quiet, 'nothing is held back').toBe(true);
        expect(world.cursor.position).toBe(world.tail);
        forged += world.forged;
      }),
      { numRuns: 4_000 },
    );
    expect(forged).toBeGreaterThan(4_000);
  });
});

describe('while the journal stands', () => {
  it('nothing is widened but what could not be held or read', () => {
    fc.assert(
      fc.property(
        schedule('trim', 'remove', 'failover', 'fail'),
        fc.boolean(),
        (steps, arrives) => {
          const world = new CursorWorld(ROOMY);
          // An empty journal is the one that cannot be told from another.
          world.take({ kind: 'publish', count: 1 });
          world.take({ kind: 'subscribe' });
          world.take({ kind: 'answer' });
          play(world, steps, arrives);
          expect(missed(world)).toEqual([]);
          expect(wasWidened(world)).toBe(false);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('on a channel that keeps the order', () => {
  const honest = schedule('overtake', 'duplicate');

  it('between one "everything" and the next all is in the order of the journal', () => {
    fc.assert(
      fc.property(limits, honest, fc.boolean(), (bounds, steps, arrives) => {
        const world = new CursorWorld(bounds);
        play(world, steps, arrives);
        for (const { covered, entries } of stretches(world)) {
          const ids = [...new Set(entries)]
            .map(({ id }) => id)
            .filter((id) => id >= covered && !world.forgotten.has(id));
          expect(ids).toEqual(ids.toSorted((a, b) => a - b));
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('nothing is delivered twice but after a restart', () => {
    fc.assert(
      fc.property(honest, fc.boolean(), (steps, arrives) => {
        const world = new CursorWorld(ROOMY);
        play(world, steps, arrives);
        for (const { entries } of stretches(world)) {
          expect(entries).toEqual([...new Set(entries)]);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
