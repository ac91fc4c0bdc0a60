/** 13: a clock is set. */
import { journalAhead } from '../redis-clock.mjs';

const HOUR = 3_600_000;

export const clocks = [
  setBy(
    'clock-back',
    'wall clocks set back by an hour, and right again',
    -HOUR,
  ),
  setBy(
    'clock-forward',
    'wall clocks set forward by an hour, and right again',
    HOUR,
  ),
];

/**
 * Sets the clocks of a writer and a reader; another writer starts with a wrong
 * clock, and Redis had a wrong one.
 */
function setBy(name, title, shift) {
  return {
    name,
    title,
    instances: [
      { name: 'writer-1', writes: true },
      { name: 'writer-2', writes: true, clockShift: -shift },
      { name: 'reader-1' },
      { name: 'reader-2' },
    ],
    async fault(stage) {
      await setAll(stage, shift);
      await journalAhead(stage, HOUR);
      await stage.writes(400);
      await stage.redis.admin.client('KILL', 'TYPE', 'pubsub');
      await stage.writes(400);
      // Only the journal has these messages.
      stage.readers[0].links[0].sever();
      await stage.writes(400);
    },
    async heal(stage) {
      await setAll(stage, 0);
      stage.readers[0].links[0].heal();
      await stage.redis.admin.client('KILL', 'TYPE', 'pubsub');
    },
  };
}

async function setAll({ writers, readers }, shift) {
  await writers[0].setClock(shift);
  await readers[0].setClock(shift);
}
