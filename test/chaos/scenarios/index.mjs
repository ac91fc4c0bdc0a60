import { absent } from './absent.mjs';
import { clocks } from './clocks.mjs';
import { connections } from './connections.mjs';
import { failover } from './failover.mjs';
import { journal } from './journal.mjs';
import { load } from './load.mjs';
import { network } from './network.mjs';
import { outbox } from './outbox.mjs';
import { server } from './server.mjs';
import { strangers } from './strangers.mjs';

/**
 * All of them. A scenario is
 *
 * - `name`, `title`
 * - `broker`: what the instances connect to, if not one Redis
 * - `instances`: if not two writers and two readers
 * - `options`: of the module, in each instance
 * - `fault(stage)`: resolves when it has lasted
 * - `heal(stage)`: resolves when the fault is over; without it, it is at once
 * - `mayBeQuiet`: false if rows have to go on changing while it heals
 * - `drains`: false if what waits in outboxes will never be sent
 * - `shares`: false if there never is a Redis in which they share anything
 * - `isPromised(entry, stage)`: false for a stale entry that is documented
 * - `verify(stage)`: what else is wrong, in words
 */
export const scenarios = [
  ...connections,
  ...server,
  ...network,
  ...journal,
  ...failover,
  ...load,
  ...outbox,
  ...strangers,
  ...clocks,
  ...absent,
];
