import { Logger } from '@nestjs/common';
import * as fc from 'fast-check';
import {
  affects,
  batch,
  buildCacheKey,
  entity,
  everything,
  InvalidatesCache,
  InvalidationScope,
  keysOf,
  pattern,
  type CascadeRules,
  type Invalidation,
} from 'nestjs-cache-invalidation';
import { describe, expect, it } from 'vitest';
import { decodeMessage } from '../../lib/message/index.js';
import { said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { makePublisher, type PublisherOptions } from '../support/parts.js';

// Errors are asserted, and need not be printed.
Logger.overrideLogger(false);

/** Random rules; fewer for each mutant. */
const RUNS = process.env['MUTATION_AREAS'] === undefined ? 100 : 10;

/** Rows of a durable outbox. */
class Table {
  readonly rows = new Map<string, string>();

  async pending(): Promise<string[]> {
    return [...this.rows.values()];
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.rows.delete(id);
  }
}

function publisherWith(
  cascade?: CascadeRules,
  options: Partial<PublisherOptions> = {},
) {
  return makePublisher({ maxMessageBytes: 2_048, ...options, cascade });
}

/** Messages that are published for an invalidation under these rules. */
async function saidAfter(
  invalidation: Invalidation,
  cascade: CascadeRules,
): Promise<string[]> {
  const { publisher, sent, errors } = publisherWith(cascade);
  await publisher.publish(invalidation);
  expect(errors).toEqual([]);
  return sent().map(said);
}

/** Rules in a circle: each names the next type, and the last one the first. */
const CIRCLE: CascadeRules = {
  User: (id) => [entity('Post', id)],
  Post: (id) => [entity('session', id)],
  session: (id) => [entity('User', id)],
};

const FOLLOWERS: CascadeRules = {
  User: (id) => [pattern(`feed:${id}:*`), entity('Notification', id)],
};

describe('Cascade: derived invalidations', () => {
  it.each<[string, Invalidation, string[]]>([
    ['a deleted entity', entity('User', 1), ['User:1']],
    ['an updated one', entity('User', 1, { action: 'Update' }), ['User:1']],
    ['a batch of one', batch(['user:1']), ['user:1']],
  ])(
    'publishes derived invalidations after the original: %s',
    async (_, invalidation, original) => {
      expect(await saidAfter(invalidation, FOLLOWERS)).toEqual([
        ...original,
        'feed:1:*',
        'Notification:1',
      ]);
    },
  );

  it('derives invalidations for each key of a batch, and of a split batch', async () => {
    const keys = Array.from({ length: 12 }, (_, id) => `user:${id}`);
    const { publisher, sent } = publisherWith(FOLLOWERS);
    const receipt = await publisher.invalidateBatch(['post:1', ...keys]);
    const [first, second, ...following] = sent();
    expect([first, second].flatMap((one) => one!.entityIds)).toHaveLength(13);
    expect(following.map(said)).toEqual(
      keys.flatMap((_, id) => [`feed:${id}:*`, `Notification:${id}`]),
    );
    expect(receipt.messageId).toBe(second!.messageId);
  });

  it('derives nothing for an entity type without a rule', async () => {
    expect(await saidAfter(entity('Post', 1), FOLLOWERS)).toEqual(['Post:1']);
    expect(await saidAfter(batch(['post:1']), FOLLOWERS)).toEqual(['post:1']);
  });

  it('applies the rules to derived invalidations', async () => {
    expect(
      await saidAfter(entity('User', 1), {
        User: (id) => [batch([`team:${id}`, 'post:9'])],
        team: (id) => [entity('Feed', `of:team:${id}`)],
        Feed: (id) => [pattern(`page:${id}:*`)],
      }),
    ).toEqual([
      'User:1',
      'team:1,post:9',
      'Feed:of:team:1',
      'page:of:team:1:*',
    ]);
  });

  it('ends when the rules form a circle', async () => {
    expect(await saidAfter(entity('User', 1), CIRCLE)).toEqual([
      'User:1',
      'Post:1',
      'session:1',
    ]);
    expect(
      await saidAfter(entity('User', 1), {
        User: (id) => [entity('User', id)],
      }),
    ).toEqual(['User:1']);
  });

  it('publishes a derived invalidation once when several rules derive it', async () => {
    const asked: string[] = [];
    expect(
      await saidAfter(batch(['user:1', 'user:2', 'user:1']), {
        User: (id) => {
          asked.push(id);
          return [
            pattern('teams:*'),
            entity('Post', 7),
            batch(['post:7', `user:${id}`, 'post:8', 'post:8']),
          ];
        },
        Post: (id) => {
          asked.push(`post ${id}`);
          return [];
        },
      }),
    ).toEqual(['user:1,user:2,user:1', 'teams:*', 'Post:7', 'post:8']);
    expect(asked).toEqual(['1', '2', 'post 7', 'post 8']);
  });

  it('publishes only "everything" when a rule derives everything', async () => {
    const rules: CascadeRules = {
      User: () => [entity('Post', 1), everything()],
    };
    expect(await saidAfter(entity('User', 1), rules)).toEqual(['User:1', '*']);
  });
});

describe('Cascade: patterns', () => {
  it('derives nothing from a pattern without any rules', async () => {
    expect(await saidAfter(pattern('user:*'), {})).toEqual(['user:*']);
  });

  it('counts a pattern that derives everything as a widening', async () => {
    const { publisher, meter } = publisherWith(FOLLOWERS);
    await publisher.invalidatePattern('user:1*');
    expect([...meter.widenedBy]).toEqual([['cascade', 1]]);
  });

  it.each<[string, Invalidation, string[]]>([
    [
      'derives nothing from a pattern of other entity types',
      pattern('post:*'),
      ['post:*'],
    ],
    ['derives nothing from everything', everything(), ['*']],
    [
      'derives everything from a pattern of the entity type',
      pattern('user:*'),
      ['user:*', '*'],
    ],
    [
      'derives everything from a pattern that may match the entity type',
      pattern('*:9'),
      ['*:9', '*'],
    ],
  ])('%s', async (_, invalidation, expected) => {
    expect(await saidAfter(invalidation, FOLLOWERS)).toEqual(expected);
  });

  it('derives everything, and reports the rule, when it returns a pattern of a type that has a rule', async () => {
    const { publisher, sent, errors } = publisherWith({
      ...FOLLOWERS,
      Feed: (id) => [entity('Post', id)],
    });
    await publisher.invalidateUser(1);
    expect(sent().map(said)).toEqual(['User:1', '*']);
    expect(errors).toMatchObject([
      {
        source: 'cascade.User',
        message: expect.stringContaining('"feed:1:*" may match entities'),
      },
    ]);
  });
});

describe('Cascade: publishing', () => {
  it('publishes the original and derived messages in one call, and returns one receipt for both', async () => {
    const { publisher, transport, sent, delivered } = publisherWith(FOLLOWERS);

    const receipt = await publisher.invalidateUser(1);

    expect(transport.calls).toHaveLength(1);
    expect(receipt).toEqual({
      status: 'delivered',
      messageId: sent()[0]!.messageId,
      receivers: 1,
      // Callers that wait for this offset have received all messages.
      offset: '3-0',
    });
    expect(delivered.map(said)).toEqual(sent().map(said));
  });

  it('resolves the receipt when this instance has received all messages, in however many calls', async () => {
    const { publisher, transport, delivered } = publisherWith({
      User: () => Array.from({ length: 200 }, (_, id) => entity('Post', id)),
    });
    transport.obliging = false;
    let ended = false;
    const publishing = publisher.invalidateUser(1).then(() => (ended = true));
    await eventually(() => expect(transport.calls).toHaveLength(4));
    for (const call of transport.calls.slice(0, 3)) call.succeed();
    await eventually(() => expect(delivered).toHaveLength(192));
    expect(ended).toBe(false);
    transport.call(3).succeed();
    await publishing;
    expect(delivered).toHaveLength(201);
  });

  it('returns a queued receipt when any derived message is queued', async () => {
    const { publisher, transport, sent } = publisherWith(FOLLOWERS);
    transport.obliging = false;
    const publishing = publisher.invalidateUser(1);
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).answer(1, new Error('OOM'), 1);
    expect(await publishing).toMatchObject({
      status: 'queued',
      messageId: sent()[0]!.messageId,
    });
  });

  it('queues derived messages behind the original while Redis is away', async () => {
    const { publisher, transport, delivered, sent, resume, queue } =
      publisherWith(FOLLOWERS);
    transport.writable = false;
    expect(await publisher.invalidateUser(1)).toMatchObject({
      status: 'queued',
    });
    const all = ['User:1', 'feed:1:*', 'Notification:1'];
    expect(delivered.map(said)).toEqual(all);
    transport.writable = true;
    resume();
    await queue.whenIdle();
    expect(sent().map(said)).toEqual(all);
  });

  it('delivers derived messages synchronously with wait: false', () => {
    const { delivered, pipeline } = publisherWith(FOLLOWERS);
    void pipeline.publish(() => entity('User', 1), { wait: false });
    expect(delivered.map(said)).toEqual([
      'User:1',
      'feed:1:*',
      'Notification:1',
    ]);
  });

  it('writes no trace of the rule to the payload', async () => {
    const { publisher, transport } = publisherWith(FOLLOWERS);
    await publisher.invalidateUser(1, { metadata: 'of the caller' });
    const [original, following] = transport.sent
      .flat()
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(Object.keys(following!)).toEqual(Object.keys(original!));
    expect(following!['metadata']).toBeNull();
  });

  it('publishes derived messages after the commit of a scope, and none after a rollback', async () => {
    const { publisher, sent, delivered } = publisherWith(FOLLOWERS);
    await InvalidationScope.run(async () => {
      expect(await publisher.invalidateUser(1)).toMatchObject({
        status: 'deferred',
      });
      await publisher.invalidateNotification(1);
      expect(delivered).toEqual([]);
    });
    expect(sent().map(said)).toEqual(['User:1', 'feed:1:*', 'Notification:1']);
    await InvalidationScope.run(async () => {
      await publisher.invalidateUser(2);
      throw new Error('rollback');
    }).catch(() => null);
    expect(sent()).toHaveLength(3);
  });

  it('does not call the rules when the module is disabled', async () => {
    let asked = 0;
    const { publisher } = publisherWith(
      { User: () => (asked++, []) },
      { enabled: false },
    );
    await publisher.invalidateUser(1);
    expect(asked).toBe(0);
  });
});

describe('Cascade: a rule that fails', () => {
  const UNENCODABLE = { metadata: { loop: 1n } };

  it.each<[string, () => unknown, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('mistake');
      },
      /^cascade\.User failed to return what else has changed: mistake\. Every/,
    ],
    ['returns nothing', () => undefined, /undefined instead of a list/],
    ['returns no list', () => entity('Post', 1), /an object instead of a list/],
    ['returns keys', () => ['post:1'], /This is no invalidation/],
    ['returns null', () => [null], /This is no invalidation/],
    [
      'returns a promise',
      () => Promise.reject(new Error('unheard')),
      /a promise, but must be synchronous/,
    ],
    [
      'derives metadata that cannot be encoded',
      () => [entity('Post', 1), entity('Post', 2, UNENCODABLE)],
      /metadata cannot be sent/,
    ],
    [
      'derives an id that is too long',
      () => [entity('Post', 'x'.repeat(3_000))],
      /bytes/,
    ],
  ])('derives everything when a rule %s', async (_, rule, message) => {
    const { publisher, sent, errors, meter } = publisherWith({
      User: rule,
    } as CascadeRules);

    const receipt = await publisher.invalidateUser(1);

    expect(receipt).toMatchObject({
      status: 'delivered',
      messageId: sent()[0]!.messageId,
    });
    expect(sent().map(said)).toEqual(['User:1', '*']);
    expect(errors).toMatchObject([
      {
        code: 'CACHE_INVALIDATION_HANDLER_FAILED',
        message: expect.stringMatching(message),
      },
    ]);
    expect(meter.totals).toMatchObject({ handlerErrors: 1, widened: 1 });
  });

  it('reports the rule, the cause and the remedy', async () => {
    const { publisher, errors, meter } = publisherWith({
      User: () => {
        throw new Error('mistake');
      },
      Post: (id) => [entity('Feed', 'x'.repeat(Number(id)))],
    });
    await publisher.invalidateUser(1);
    await publisher.invalidatePost(3_000);
    expect(errors).toMatchObject([
      {
        source: 'cascade.User',
        message:
          'cascade.User failed to return what else has changed: mistake. Everything was invalidated instead; correct the rule.',
      },
      {
        source: 'cascade',
        message: expect.stringMatching(
          /^cascade failed to return what else has changed: .*bytes.* Everything was invalidated instead; correct the rule\.$/,
        ),
      },
    ]);
    expect([...meter.widenedBy]).toEqual([['cascade', 2]]);
  });

  it('derives everything when a rule for a derived invalidation fails', async () => {
    const { sent, errors, pipeline, queue } = publisherWith({
      ...CIRCLE,
      session: () => {
        throw new Error('mistake');
      },
    });
    void pipeline.publish(() => batch(['user:1', 'user:2']), { wait: false });
    await queue.whenIdle();
    expect(sent().map(said)).toEqual(['user:1,user:2', '*']);
    expect(errors).toMatchObject([{ source: 'cascade.session' }]);
  });
});

describe('Cascade: keys and patterns with the same text', () => {
  it.each([
    [
      [entity('list', '*'), pattern('list:*')],
      ['list:*', 'list:*'],
    ],
    [
      [pattern('f:[a]'), entity('f', '[a]')],
      ['f:[a]', 'f:[a]'],
    ],
  ])(
    'publishes both a key and a pattern with the same text: %#',
    async (following, expected) => {
      const all = await saidAfter(entity('User', 1), { User: () => following });
      expect(all).toEqual(['User:1', ...expected]);
    },
  );
});

describe('Cascade: limits', () => {
  it('derives everything when a rule never stops deriving new ids', async () => {
    let asked = 0;
    const { publisher, sent, errors, meter } = publisherWith({
      Post: (id) => (asked++, [entity('Post', Number(id) + 1)]),
    });
    await publisher.invalidatePost(0);
    expect(sent().map(said)).toEqual(['Post:0', '*']);
    expect(asked).toBe(10_001);
    expect(errors).toEqual([]);
    expect(meter.totals.widened).toBe(1);
  });

  /** Messages of a rule that names a pattern and this many entities. */
  async function saidOf(entities: number): Promise<string[]> {
    return saidAfter(entity('User', 1), {
      User: () => [
        pattern('feed:1:*'),
        ...Array.from({ length: entities }, (_, id) => entity('Post', id)),
      ],
    });
  }

  it('counts a collapse as a widening', async () => {
    const { publisher, meter } = publisherWith({
      User: () => Array.from({ length: 1_001 }, (_, id) => entity('Post', id)),
    });
    await publisher.invalidateUser(1);
    expect([...meter.widenedBy]).toEqual([['cascade', 1]]);
  });

  it('collapses to entity types beyond 1000 derived invalidations', async () => {
    expect(await saidOf(999)).toHaveLength(1_001);
    expect(await saidOf(1_000)).toEqual(['User:1', 'feed:*', 'post:*']);
  });
});

describe('Cascade: properties under random rules', () => {
  const TYPES = ['User', 'Post', 'session', 'team'] as const;

  /**
   * Rules of an entity type: for each further entity its type, and the growth
   * of its id.
   */
  const rule = fc.array(
    fc.record({
      type: fc.constantFrom(...TYPES, 'leaf'),
      step: fc.integer({ min: 0, max: 2 }),
      below: fc.constantFrom(3, 50, 3_000, Infinity),
      many: fc.boolean(),
    }),
    { maxLength: 3 },
  );
  const rules = fc.dictionary(fc.constantFrom(...TYPES), rule, { maxKeys: 4 });
  const start = fc.array(
    fc.tuple(fc.constantFrom(...TYPES), fc.nat({ max: 3 })),
    { minLength: 1, maxLength: 3 },
  );

  it('covers every derived invalidation, publishes each once, and ends', async () => {
    await fc.assert(
      fc.asyncProperty(rules, start, async (described, from) => {
        // A simple search of the expected keys, up to a limit.
        const named = from.map(([type, id]) => buildCacheKey(type, id));
        const due = new Set(named);
        const cascade: CascadeRules = Object.fromEntries(
          Object.entries(described).map(([type, others]) => [
            type,
            (id: string): Invalidation[] =>
              others
                .filter(({ below }) => Number(id) < below)
                .map(({ type: other, step, many }) => {
                  const next = Number(id) + step;
                  const key = buildCacheKey(other, next);
                  return many ? batch([key]) : entity(other, next);
                }),
          ]),
        );
        for (const key of due) {
          const [prefix, id] = key.split(':') as [string, string];
          const type = TYPES.find(
            (one) => buildCacheKey(one, id) === `${prefix}:${id}`,
          );
          const others = type === undefined ? [] : cascade[type]?.(id);
          for (const one of others ?? []) {
            if (due.size < 12_000) due.add(keysOf(one)![0]!);
          }
        }

        const { publisher, sent, errors, finish } = publisherWith(cascade);
        const receipt = await publisher.invalidateBatch(named);
        await finish();

        const [original, ...following] = sent();
        expect(errors).toEqual([]);
        expect(receipt.messageId).toBe(original!.messageId);
        expect(original!.entityIds).toEqual(named);
        expect(following.length).toBeLessThanOrEqual(1_000);
        const exact = new Set(
          [original!, ...following].flatMap((one) => keysOf(one) ?? []),
        );
        const patterns = following.filter(({ action }) => action === 'Pattern');
        for (const key of due) {
          if (exact.has(key)) continue;
          expect(patterns.some((one) => affects(one, key))).toBe(true);
        }
        // Each key once, and no others, unless there are too many.
        const small = due.size - new Set(named).size <= 1_000;
        const all = following.flatMap((one) => keysOf(one) ?? [one.pattern!]);
        const wanted = [...due].filter((key) => !named.includes(key));
        expect(small ? all.toSorted() : []).toEqual(
          small ? wanted.toSorted() : [],
        );
      }),
      { numRuns: RUNS },
    );
  });
});

describe('Cascade: with a durable outbox', () => {
  it('stores only the original, and publishes derived messages together with it', async () => {
    const durableOutbox = new Table();
    const { publisher, sent, transport } = publisherWith(FOLLOWERS, {
      durableOutbox,
    });
    const stored = publisher.prepare(entity('User', 1));
    expect(decodeMessage(stored.text, Infinity)).toMatchObject({
      entityId: '1',
    });

    const receipt = await publisher.publishStored(stored);

    expect(receipt.messageId).toBe(stored.messageId);
    expect(transport.calls).toHaveLength(1);
    expect(sent().map(said)).toEqual(['User:1', 'feed:1:*', 'Notification:1']);
  });

  it('keeps the row until Redis has taken all derived messages', async () => {
    const durableOutbox = new Table();
    const { publisher, transport, relay } = publisherWith(FOLLOWERS, {
      durableOutbox,
    });
    const stored = publisher.prepare(entity('User', 1));
    durableOutbox.rows.set(stored.messageId, stored.text);
    transport.obliging = false;
    const publishing = publisher.publishStored(stored);
    await eventually(() => expect(transport.calls).toHaveLength(1));
    transport.call(0).answer(1, 1, new Error('OOM'));
    await publishing;
    expect(durableOutbox.rows.size).toBe(1);
    // The row is under way, and not left behind.
    void relay.sweep();
    await eventually(() => expect(transport.calls).toHaveLength(2));
    expect(transport.call(1).payloads).toHaveLength(1);
    expect(durableOutbox.rows.size).toBe(1);
    transport.call(1).succeed();
    await eventually(() => expect(durableOutbox.rows.size).toBe(0));
    expect(transport.calls).toHaveLength(2);
  });

  it('applies the rules of the instance that sweeps the rows of another instance', async () => {
    const durableOutbox = new Table();
    const { sent, delivered, relay } = publisherWith(FOLLOWERS, {
      durableOutbox,
    });
    const stored = makePublisher().publisher.prepare(entity('User', 1));
    durableOutbox.rows.set(stored.messageId, stored.text);

    void relay.sweep();

    await eventually(() => expect(durableOutbox.rows.size).toBe(0));
    expect(sent().map(said)).toEqual(['User:1', 'feed:1:*', 'Notification:1']);
    expect(sent()[0]!.messageId).toBe(stored.messageId);
    expect(delivered.map(said)).toEqual(sent().map(said));
  });

  it('keeps a row when a derived message was collapsed, and publishes it in a later sweep', async () => {
    const durableOutbox = new Table();
    const { publisher, transport, sent, resume } = publisherWith(FOLLOWERS, {
      durableOutbox,
      outboxLimit: 2,
      queueByteLimit: Infinity,
    });
    transport.writable = false;
    const stored = publisher.prepare(entity('User', 1));
    durableOutbox.rows.set(stored.messageId, stored.text);
    await publisher.publishStored(stored);
    transport.writable = true;
    resume();
    await eventually(() => expect(durableOutbox.rows.size).toBe(0));
    expect(sent().map(said)).toEqual(expect.arrayContaining(['User:1', '*']));
  });

  it('keeps a row when the outbox already held a derived message, and publishes it in a later sweep', async () => {
    const durableOutbox = new Table();
    const { publisher, transport, sent, resume, queue, relay } = publisherWith(
      FOLLOWERS,
      {
        durableOutbox,
      },
    );
    transport.writable = false;
    await publisher.invalidateNotification(1);
    const stored = publisher.prepare(entity('User', 1));
    durableOutbox.rows.set(stored.messageId, stored.text);
    await publisher.publishStored(stored);
    expect(publisher.pending).toBe(3);
    transport.writable = true;
    resume();
    await queue.whenIdle();
    const waited = ['Notification:1', 'User:1', 'feed:1:*'];
    expect(sent().map(said)).toEqual(waited);
    expect(durableOutbox.rows.size).toBe(1);
    await eventually(() => {
      void relay.sweep();
      expect(durableOutbox.rows.size).toBe(0);
    });
    const again = ['User:1', 'feed:1:*', 'Notification:1'];
    expect(sent().map(said)).toEqual([...waited, ...again]);
  });
});

describe('Cascade: on Redis', () => {
  it('expands only in the publishing instance when two instances have the same rules', async () => {
    class Users {
      @InvalidatesCache('User', (id: string) => id)
      async update(_id: string): Promise<void> {}
    }
    const asked: string[] = [];
    const ruleOf = (who: string): CascadeRules => ({
      User: (id) => {
        asked.push(`${who} ${id}`);
        return [pattern(`feed:${id}:*`), entity('Notification', id)];
      },
    });
    const writer = await startApp({
      cascade: ruleOf('writer'),
      providers: [Users],
    });
    const reader = await startApp({
      channel: writer.channel,
      cascade: ruleOf('reader'),
    });
    const feeds = new Map([
      ['feed:1:a', 1],
      ['feed:2:a', 1],
    ]);
    reader.subscriber.bind(feeds);

    await writer.context.get(Users).update('1');

    const all = ['User:1', 'feed:1:*', 'Notification:1'];
    expect(writer.messages.map(said)).toEqual(all);
    await eventually(() => expect(reader.messages.map(said)).toEqual(all));
    expect([...feeds.keys()]).toEqual(['feed:2:a']);
    const offset = (await writer.publisher.update('User', 2)).offset!;
    await reader.subscriber.caughtUp(offset);
    expect(reader.messages.slice(3).map(said)).toEqual([
      'User:2',
      'feed:2:*',
      'Notification:2',
    ]);
    expect(asked).toEqual(['writer 1', 'writer 2']);
  });
});
