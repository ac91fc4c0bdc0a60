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

/** The message at an offset, by default after the previous offset. */
function at(offset: number, previous = offset - 1): Journaled {
  return { offset: `${offset}-0`, previous: `${previous}-0` };
}

/** A forged message with the same offset and different content. */
const forge = (message: Journaled): Journaled & { forged: true } => ({
  ...message,
  forged: true,
});

const ROOMY: CursorLimits = {
  held: { messages: 1_000, bytes: Infinity },
  remembered: 1_000,
  horizon: { allows: () => true },
};

/** A cursor, and its deliveries: offsets, replayed ones with an `r`, or `*`. */
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

  /** A cursor at this offset, with all earlier messages delivered. */
  static at(offset: number, limits = ROOMY): Desk {
    const desk = new Desk(limits);
    desk.cursor.begin(`${offset}-0`);
    return desk;
  }

  /** Passes each message to the cursor, as the subscriber does. */
  hear(...messages: Journaled[]): void {
    for (const message of messages) {
      const { previous, offset } = message;
      if (this.cursor.advance(previous, offset, message)) {
        this.said.push(`${parseInt(offset)}`);
      } else this.cursor.receive(message);
    }
  }

  /** Replays all entries of the journal from the position on. */
  read(...entries: Journaled[]): boolean {
    this.cursor.beginReading();
    return this.cursor.replay(entries, true);
  }

  get position(): number | null {
    const { position } = this.cursor;
    return position === null ? null : parseInt(position);
  }
}

describe('DeliveryCursor: a received message', () => {
  it('is delivered immediately when it follows the position', () => {
    const desk = Desk.at(1);
    desk.hear(at(2), at(3));
    expect(desk.said).toEqual(['2', '3']);
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('is a duplicate at the position itself', () => {
    const desk = Desk.at(1);
    desk.hear(at(2), at(2));
    expect(desk.said).toEqual(['2']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('is delivered when it claims the offset of another, whichever came first', () => {
    const desk = Desk.at(1);
    const forged = forge(at(2));
    desk.hear(forged, at(2), forged, at(3), forge(at(3)));
    expect(desk.said).toEqual(['2', '2', '3', '3']);
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('widens when the journal has another message at the delivered offset', () => {
    const desk = Desk.at(1);
    desk.hear(forge(at(2)));
    desk.cursor.lost();
    desk.cursor.doubt();
    expect(desk.read(at(2), at(3)), 'not the journal it has heard').toBe(false);
    desk.cursor.restart('3-0');
    expect(desk.said).toEqual(['2', '*']);
  });

  it('is held until the journal was read when it follows an unknown message', () => {
    const desk = Desk.at(1);
    desk.hear(at(3), at(4));
    expect(desk.said).toEqual([]);
    expect(desk.cursor.catchingUp).toBe(true);

    expect(desk.read(at(1), at(2), at(3), at(4))).toBe(true);

    expect(desk.said).toEqual(['2r', '3r', '4r']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('widens behind the position when the journal was started again', () => {
    const desk = Desk.at(7);
    desk.hear(at(5, 3));
    expect(desk.cursor.catchingUp).toBe(true);
    expect(desk.read(), 'nothing from 7 on').toBe(false);
    desk.cursor.restart('5-0');
    expect(desk.said).toEqual(['*']);
    expect(desk.position).toBe(5);
  });

  it('is delivered again behind the position when the journal still stands', () => {
    const desk = Desk.at(7);
    desk.hear(at(5));
    expect(desk.read(at(7), at(8))).toBe(true);
    expect(desk.said).toEqual(['8r', '5']);
    expect(desk.position).toBe(8);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it.each([
    ['has an earlier offset', at(5, 7)],
    ['has an offset beyond the horizon', at(900, 7)],
  ])('is held when it names the position, but %s', (_, forged) => {
    const desk = Desk.at(7, {
      ...ROOMY,
      horizon: { allows: (offset) => parseInt(offset) <= 100 },
    });
    desk.hear(forged);
    expect(desk.position).toBe(7);
    expect(desk.read(at(7), at(8))).toBe(true);
    // The forged message is delivered, and does not move the position.
    expect(desk.said).toEqual(['8r', String(parseInt(forged.offset))]);
    expect(desk.position).toBe(8);
  });

  it('does not move the position when it is released and cannot follow', () => {
    const desk = Desk.at(7);
    desk.cursor.doubt();
    desk.hear(at(5, 7));
    expect(desk.read(at(7))).toBe(true);
    expect(desk.said).toEqual(['5']);
    expect(desk.position).toBe(7);
  });

  it('is delivered immediately while there is no position', () => {
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

  it('is looked up in the journal without a previous offset', () => {
    const desk = Desk.at(1);
    desk.hear({ offset: '2-0', previous: null });
    expect(desk.read(at(1), at(2))).toBe(true);
    expect(desk.said).toEqual(['2r']);
  });
});

describe('DeliveryCursor.doubt()', () => {
  it('holds even a message that follows the position', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    desk.hear(at(2));
    expect(desk.said).toEqual([]);
    expect(desk.read(at(1))).toBe(true);
    expect(desk.said).toEqual(['2']);
  });

  it('is ignored without a position', () => {
    const { cursor } = new Desk();
    cursor.doubt();
    expect(cursor.catchingUp).toBe(false);
  });

  it('ends without a delivery when nothing was missed', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    expect(desk.read(at(1))).toBe(true);
    expect(desk.said).toEqual([]);
    expect(desk.cursor.catchingUp).toBe(false);
  });
});

describe('DeliveryCursor.replay()', () => {
  it('releases held messages after the last page only', () => {
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

  it('does not deliver a replayed message again when the channel delivers it late', () => {
    const desk = Desk.at(1);
    desk.cursor.doubt();
    desk.read(at(1), at(2), at(3));
    desk.hear(at(2), at(3), at(4));
    expect(desk.said).toEqual(['2r', '3r', '4']);
    expect(desk.cursor.catchingUp).toBe(false);
  });

  it('remembers a limited number of offsets, and looks up older ones again', () => {
    const desk = Desk.at(1, {
      ...ROOMY,
      held: { messages: 10, bytes: Infinity },
      remembered: 2,
    });
    desk.cursor.doubt();
    desk.read(at(1), at(2), at(3), at(4), at(5), at(6));
    desk.hear(at(5), at(6));
    expect(desk.cursor.catchingUp).toBe(false);
    desk.hear(at(2));
    expect(desk.cursor.catchingUp).toBe(true);
    expect(desk.read(at(6))).toBe(true);
    expect(desk.said).toEqual(['2r', '3r', '4r', '5r', '6r', '2']);
  });

  it.each<[title: string, entries: Journaled[]]>([
    ['no entries', []],
    ['later entries only: trimmed', [at(5), at(6)]],
    ['the next entry without the position: trimmed or forged', [at(4), at(5)]],
    ['another history after the position', [at(3), at(4, 2)]],
    ['a gap', [at(3), at(4), at(6)]],
    ['its own entry a second time', [at(3), at(3), at(4)]],
  ])('rejects a journal with %s', (_, entries) => {
    const desk = Desk.at(3);
    desk.cursor.doubt();
    expect(desk.read(...entries)).toBe(false);
    expect(desk.cursor.catchingUp, 'held until the tail is known').toBe(true);

    desk.cursor.restart('9-0');
    desk.hear(at(10));

    expect(desk.said.slice(-2)).toEqual(['*', '10']);
    expect(desk.position).toBe(10);
  });

  it('requires another read for a gap that opened after the read began', () => {
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

describe('DeliveryCursor.restart()', () => {
  it('covers held messages', () => {
    const desk = Desk.at(1);
    desk.hear(at(5));
    desk.cursor.restart('5-0');
    desk.hear(at(6));
    expect(desk.said).toEqual(['*', '6']);
  });

  it('delivers immediately without a tail until one is known', () => {
    const desk = Desk.at(1);
    desk.cursor.restart(null);
    desk.hear(at(5), at(9));
    desk.cursor.restart('9-0');
    desk.hear(at(10));
    expect(desk.said).toEqual(['*', '5', '9', '*', '10']);
  });

  it('widens when more messages are held than the limit', () => {
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

describe('DeliveryCursor: held messages', () => {
  it('widen beyond their limit of bytes', () => {
    const desk = Desk.at(1, {
      ...ROOMY,
      held: { messages: 10, bytes: 2 },
    });
    desk.hear(at(5), at(6));
    expect(desk.said).toEqual([]);
    desk.hear(at(7));
    expect(desk.said).toEqual(['*']);
    // Messages from before the restart do not count any more.
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

describe('DeliveryCursor.begin()', () => {
  it('sets the position to the end of the journal', () => {
    const desk = new Desk();
    desk.cursor.begin('7-0');
    desk.hear(at(8));
    expect(desk.said).toEqual(['8']);
    expect(desk.position).toBe(8);
  });

  it('sets the position to the last delivered message if that is later', () => {
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

  it('ignores delivered offsets beyond the horizon', () => {
    const desk = new Desk({
      ...ROOMY,
      horizon: { allows: (offset) => parseInt(offset) <= 100 },
    });
    desk.hear(at(900));
    desk.cursor.begin('7-0');
    expect(desk.said).toEqual(['900']);
    expect(desk.position).toBe(7);
  });

  it('ignores messages delivered by an earlier subscription', () => {
    const desk = new Desk();
    desk.hear(at(9));
    desk.cursor.lost();
    desk.cursor.begin('7-0');
    expect(desk.position).toBe(7);
  });
});

describe('DeliveryCursor.lost()', () => {
  it('keeps the position, and forgets held messages', () => {
    const desk = Desk.at(3);
    desk.hear(at(5));
    desk.cursor.lost();
    expect(desk.position).toBe(3);
    expect(desk.cursor.catchingUp).toBe(false);

    desk.cursor.doubt();
    expect(desk.read(at(3), at(4), at(5))).toBe(true);
    expect(desk.said).toEqual(['4r', '5r']);
  });

  it('clears a position at the beginning of an empty journal', () => {
    const desk = new Desk();
    desk.cursor.begin(JOURNAL_START);
    desk.cursor.lost();
    expect(desk.position).toBe(null);
  });
});

/** Plays any interleaving, then settles; messages in flight may still be lost then. */
function play(
  world: CursorWorld,
  steps: readonly Step[],
  arrives: boolean,
): number {
  for (const step of steps) world.take(step);
  return world.settle(arrives);
}

const isFresh = (each: Entry | Fresh): each is Fresh => each instanceof Fresh;

/**
 * Deliveries since the last cover of all earlier messages, and the number it
 * covered.
 */
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

describe('DeliveryCursor: properties under any schedule', () => {
  it('delivers every message, or covers it with a later "everything"', () => {
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
    // The test proves something only if all of this happens.
    expect(replays).toBeGreaterThan(4_000);
    expect(widened).toBeGreaterThan(1_000);
    expect(exact).toBeGreaterThan(100);
  });

  it('ends every catch-up', () => {
    fc.assert(
      fc.property(
        limits,
        schedule(),
        fc.boolean(),
        (bounds, steps, arrives) => {
          const world = new CursorWorld(bounds);
          const readings = play(world, steps, arrives);
          // A page holds three new messages; then the end, a tail, and one more
          // query.
          expect(readings).toBeLessThan(world.published.length / 3 + 12);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe.each([
  ['published with a false offset', 'forge'],
  ['written into a journal that is trimmed', 'forge-entry'],
] as const)('DeliveryCursor: messages %s', (_, forgery) => {
  it('delivers every message, or covers it with a later "everything"', () => {
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

describe('DeliveryCursor: properties with an intact journal', () => {
  it('never widens', () => {
    fc.assert(
      fc.property(
        schedule('trim', 'remove', 'failover', 'fail'),
        fc.boolean(),
        (steps, arrives) => {
          const world = new CursorWorld(ROOMY);
          // An empty journal is the only one that looks like another.
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

describe('DeliveryCursor: properties on an ordered channel', () => {
  const honest = schedule('overtake', 'duplicate');

  it('delivers in the order of the journal between two "everything"', () => {
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

  it('delivers nothing twice except after a restart', () => {
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
