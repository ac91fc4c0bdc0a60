/** 8: the journal no longer has the messages that a subscriber missed. */

const LOST = 1_200;
const FILLER_BYTES = 100_000;
const ROOM_BYTES = 3_000_000;

export const journal = [
  {
    name: 'journal-trimmed',
    title: 'journal trimmed while readers are away',
    options: { journal: { maxLength: 100 } },
    fault: (stage) => away(stage, () => stage.writes(LOST)),
    heal: back,
  },
  {
    name: 'journal-deleted',
    title: 'journal deleted, with readers there and away',
    async fault(stage) {
      await stage.redis.admin.del(stage.journal);
      await stage.writes(200);
      await away(stage, async () => {
        await stage.writes(LOST / 2);
        await stage.redis.admin.del(stage.journal);
        await stage.writes(LOST / 2);
      });
    },
    heal: back,
  },
  {
    name: 'journal-evicted',
    title: 'journal evicted under allkeys-lru while readers are away',
    fault: (stage) =>
      away(stage, async () => {
        await stage.writes(LOST / 2);
        // A journal that is being written would be the last key to be evicted.
        await stage.stopWriting();
        await evict(stage);
        await stage.startWriting();
        await stage.writes(LOST / 2);
      }),
    heal: back,
  },
];

async function away({ readers }, meanwhile) {
  for (const { links } of readers) links[0].sever();
  await meanwhile();
}

function back({ readers }) {
  for (const { links } of readers) links[0].heal();
}

/** Uses few and large other keys, so that the journal's turn comes soon. */
async function evict({ redis, journal: key }) {
  const used = Number(await redis.info('memory', 'used_memory'));
  await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await redis.admin.config('SET', 'maxmemory', used + ROOM_BYTES);
  const filler = 'x'.repeat(FILLER_BYTES);
  for (let i = 0; (await redis.admin.exists(key)) === 1; i++) {
    await redis.admin.set(`filler:${i}`, filler);
  }
}
