import type { ErrorReporter } from '../stream/index.js';
import { ReplicaProgress } from './replica-progress.js';
import type { Replica } from './replica.js';

/**
 * The replicas of an application: caches of one replica share its questions.
 *
 * @internal
 */
export class Replicas {
  readonly #followed = new Map<Replica, ReplicaProgress>();

  constructor(private readonly errors: ErrorReporter) {}

  of(replica: Replica): ReplicaProgress {
    let progress = this.#followed.get(replica);
    if (progress === undefined) {
      progress = new ReplicaProgress(replica, this.errors);
      this.#followed.set(replica, progress);
    }
    return progress;
  }

  stop(): void {
    for (const progress of this.#followed.values()) progress.stop();
  }
}
