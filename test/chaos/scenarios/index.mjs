import { absent } from './absent.mjs';
import { clocks } from './clocks.mjs';
import { connections } from './connections.mjs';
import { failover } from './failover.mjs';
import { journal } from './journal.mjs';
import { load } from './load.mjs';
import { network } from './network.mjs';
import { outbox } from './outbox.mjs';
import { postgres } from './postgres.mjs';
import { postgresAlone } from './postgres-alone.mjs';
import { postgresLoad } from './postgres-load.mjs';
import { postgresTriggers } from './postgres-triggers.mjs';
import { regionRelays } from './region-relays.mjs';
import { regions } from './regions.mjs';
import { replicas } from './replicas.mjs';
import { replicaRegions } from './replica-regions.mjs';
import { rights } from './rights.mjs';
import { server } from './server.mjs';
import { strangers } from './strangers.mjs';

/**
 * All scenarios. The properties of a scenario are
 *
 * - `name`, `title`
 * - `stage`: class of the stage, by default `Stage`
 * - `broker`: the broker that the instances connect to, by default one Redis
 * - `instances`: by default two writers and two readers
 * - `options`: options of the module in each instance
 * - `fault(stage)`: starts the fault, and resolves when it has lasted long enough
 * - `heal(stage)`: ends the fault; without it, the fault ends by itself
 * - `mayBeQuiet`: false if rows have to go on changing during healing
 * - `drains`: false if messages in outboxes can never be sent
 * - `shares`: false if there never is a Redis for a second tier
 * - `isPromised(entry, stage)`: false for a stale entry that is documented
 * - `settled(stage)`: descriptions of problems once the caches are coherent
 * - `verify(stage)`: descriptions of further problems
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
  ...rights,
  ...regions,
  ...regionRelays,
  ...postgres,
  ...postgresLoad,
  ...postgresAlone,
  ...postgresTriggers,
  ...replicas,
  ...replicaRegions,
];
