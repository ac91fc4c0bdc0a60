import type { ErrorReporter } from '../stream/index.js';
import { ReplicaProgress } from './replica-progress.js';
import type { Replica } from './replica.js';

/** A replica, and how many caches read it. */
interface Followed {
  readonly progress: ReplicaProgress;
  caches: number;
}

/**
 * The replicas of an application: caches of one replica share its questions.
 *
 * @internal
 */
export class Replicas {
  readonly #followed = new Map<Replica, Followed>();

  constructor(private readonly errors: ErrorReporter) {}

  /** Follows a replica for one more cache, until it leaves. */
  of(replica: Replica): ReplicaProgress {
    let followed = this.#followed.get(replica);
    if (followed === undefined) {
      const progress = new ReplicaProgress(replica, this.errors);
      followed = { progress, caches: 0 };
      this.#followed.set(replica, followed);
    }
    followed.caches++;
    return followed.progress;
  }

  /** One of its caches has ended; after the last one the replica is not listened to. */
  leave(replica: Replica): void {
    const followed = this.#followed.get(replica);
    if (followed === undefined || --followed.caches > 0) return;
    this.#followed.delete(replica);
    followed.progress.stop();
  }

  stop(): void {
    for (const { progress } of this.#followed.values()) progress.stop();
  }
}
