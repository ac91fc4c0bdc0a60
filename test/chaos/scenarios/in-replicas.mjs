import { KEEPING_LOG, MAPPED, ReplicaStage, SMALL } from '../replica/stage.mjs';
import { inPostgres } from './in-postgres.mjs';

/** Rates of an instance: its loads go to a server that all of them share. */
export const RATES = { readsPerSecond: 2_000, writesPerSecond: 60 };
/** The servers need the processor, too: a slow answer must not count as a fault. */
const HEARTBEAT = { heartbeatTimeout: 1_000 };

/**
 * One has a loader of the primary, one writes by decorated methods, and one loads rows
 * that nothing has invalidated lately, too.
 */
export const INSTANCES = [
  { name: 'one', ...RATES },
  { name: 'two', loadsPrimary: true, ...RATES },
  { name: 'writer', writes: true, ...RATES },
  { name: SMALL, alone: true, readsPerSecond: 300 },
];

/**
 * A scenario whose instances read a standby. The properties of `postgres` beside those of
 * `inPostgres()`:
 *
 * - `lag`: milliseconds after which the standby replays a commit, by default 500
 *
 * `comparesPositions` is false if positions from before and after the fault are of
 * different logs.
 */
export function inReplicas({
  postgres,
  comparesPositions = true,
  ...scenario
}) {
  return inPostgres({
    stage: ReplicaStage,
    instances: INSTANCES,
    options: HEARTBEAT,
    ...scenario,
    postgres: {
      lag: 500,
      perSecond: 100,
      sessions: 6,
      count: 60,
      types: MAPPED,
      standby: (stage) => stage.startStandby(),
      settings: KEEPING_LOG,
      ...postgres,
    },
    async verify(stage) {
      return [
        ...(comparesPositions ? stage.checker.problems : []),
        ...((await scenario.verify?.(stage)) ?? []),
      ];
    },
  });
}
