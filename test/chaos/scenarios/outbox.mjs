/** 11: messages that a publisher holds back, and loses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../wait.mjs';

const LOST = 1_200;
const READERS = [{ name: 'reader-1' }, { name: 'reader-2' }];
const DURABLE = { name: 'writer-1', writes: true, options: { durable: true } };

export const outbox = [
  {
    name: 'outbox-overflow',
    title: 'outbox overflow: more waits than fits',
    options: { outboxLimit: 200 },
    async fault(stage) {
      stage.writers.forEach(sever);
      await stage.writes(LOST);
    },
    heal: (stage) => stage.writers.forEach(heal),
  },
  {
    name: 'durable-publisher-killed',
    title: 'publisher cut off, then killed, with a durable outbox',
    instances: [DURABLE, ...READERS],
    async fault(stage) {
      const [writer] = stage.writers;
      sever(writer);
      await stage.writes(LOST);
      await writer.kill();
    },
    heal: restart,
    mayBeQuiet: false,
    verify: nothingKept,
  },
  {
    name: 'durable-publisher-killed-in-flight',
    title: 'publisher killed 4 times amid its calls, with a durable outbox',
    instances: [DURABLE, ...READERS],
    async fault(stage) {
      for (let i = 0; i < 4; i++) {
        if (i > 0) await restart(stage);
        await stage.writes(300 + Math.floor(stage.random() * 100));
        await stage.writers[0].kill();
      }
    },
    heal: restart,
    mayBeQuiet: false,
    verify: nothingKept,
  },
  {
    name: 'shutdown-with-full-outbox',
    title: 'publisher shut down with a full outbox, Redis back in time',
    options: { outboxLimit: 500, shutdownTimeout: 8_000 },
    async fault(stage) {
      sever(stage.writers[0]);
      await stage.writes(LOST);
    },
    async heal(stage) {
      const [writer] = stage.writers;
      const closing = writer.close();
      await sleep(200);
      heal(writer);
      await closing;
    },
    verify: async ({ applications }) => {
      const { pending } = await applications[0].report();
      return pending > 0 ? [`${pending} messages were left unsent`] : [];
    },
  },
  {
    name: 'shutdown-without-redis',
    title: 'publisher shut down with a full outbox, Redis not back in time',
    ...losing((writer) => writer.close()),
    verify: async ({ applications }) => {
      const { lastError } = await applications[0].report();
      const told = /could not be sent/.test(lastError ?? '');
      return told ? [] : [`the loss was not logged, but: ${lastError}`];
    },
  },
  {
    name: 'publisher-killed',
    title: 'publisher cut off, then killed, outbox in memory',
    ...losing((writer) => writer.kill()),
  },
];

/** The documented loss: an outbox in memory with its process. */
function losing(end) {
  return {
    async fault(stage) {
      const [writer] = stage.writers;
      // Messages that Redis took before are promised; the pause separates the two.
      await writer.stopWriting();
      await until('an empty outbox', async () => {
        return (await writer.report()).pending === 0;
      });
      sever(writer);
      stage.cutOff = { by: writer.name, at: performance.now() };
      await writer.startWriting();
      await stage.writes(LOST);
      await end(writer);
    },
    mayBeQuiet: false,
    isPromised: ({ by, at }, { cutOff }) => by !== cutOff.by || at < cutOff.at,
  };
}

async function restart(stage) {
  const writer = await stage.launch(DURABLE);
  await writer.startWriting();
}

async function nothingKept({ database }) {
  return database.outboxSize > 0
    ? [`${database.outboxSize} messages were left in the durable outbox`]
    : [];
}

function sever({ links }) {
  for (const link of links) link.sever();
}

function heal({ links }) {
  for (const link of links) link.heal();
}
