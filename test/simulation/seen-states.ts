import type { SimulatedServer } from './simulated.redis.js';
import type { SimulatedNode } from './simulated.node.js';

/** Entries that are told apart: further away is all the same. */
const NEAR = 32;

/**
 * The distinct states of one schedule, as hashes. A state is, for each instance,
 * its status, its position counted from the journal's end, whether it is catching
 * up, whether it can publish, and its messages that Redis has not taken; for Redis,
 * whether it runs, and the length of its journal. Times, offsets and the contents
 * of messages do not count.
 */
export class SeenStates {
  readonly #hashes = new Set<number>();

  get hashes(): number[] {
    return [...this.#hashes];
  }

  add(master: SimulatedServer, nodes: readonly SimulatedNode[]): void {
    let hash = mix(0x811c9dc5, Number(master.up) + 2 * Number(master.stopped));
    hash = mix(hash, Math.min(NEAR, master.journal.length));
    for (const node of nodes) {
      if (!node.alive) continue;
      const { state, cursor, pending } = node;
      for (let at = 0; at < state.length; at++) {
        hash = mix(hash, state.charCodeAt(at));
      }
      hash = mix(hash, behind(master, cursor.position));
      hash = mix(hash, Number(cursor.catchingUp));
      hash = mix(hash, Number(node.transport.writable));
      hash = mix(hash, Math.min(NEAR, pending));
    }
    this.#hashes.add(hash >>> 0);
  }
}

/** Entries after a position; -1 for no position, -2 for one that is not near the end. */
function behind({ journal }: SimulatedServer, position: string | null): number {
  if (position === null) return -1;
  for (let count = 0; count < Math.min(NEAR, journal.length); count++) {
    if (journal[journal.length - 1 - count]!.offset === position) return count;
  }
  return -2;
}

/** One step of FNV-1a. */
function mix(hash: number, value: number): number {
  return Math.imul(hash ^ (value & 0xffff), 16_777_619);
}
