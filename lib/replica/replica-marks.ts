import {
  familyOf,
  keysOf,
  literalPrefix,
  type InvalidationMessage,
} from '../message/index.js';
import type { MarkPosition } from './mark-position.js';
import { Marks } from './marks.js';
import type { ReplicaProgress } from './replica-progress.js';

/** Names of one message; a larger one marks families. */
const NAMES = 10_000;

/**
 * Marks of one near cache that loads from a replica: what was invalidated, until the
 * replica has replayed more than the position of the change.
 *
 * @internal
 */
export class ReplicaMarks {
  #marks: Marks | null = null;
  /** The server whose start is marked; `null` before the first load. */
  #server: number | null = null;

  /**
   * @param family of the cache's keys, such as `user:`
   * @param dependsOnOthers whether its values are made of other entities, too
   */
  constructor(
    private readonly progress: ReplicaProgress,
    private readonly family: string,
    private readonly dependsOnOthers: boolean,
    private readonly onEnd = (): void => {},
  ) {}

  /**
   * To be read before a load begins: marks that this load has to heed, also if they are
   * forgotten in the course of it.
   */
  get pending(): Marks | null {
    return this.#marks;
  }

  /** Number of the server that answers: another one may have replayed less. */
  get server(): number {
    return this.progress.server;
  }

  /** Up to where the replica is known to have replayed; `null` if that is not known. */
  get replayed(): string | null {
    return this.progress.replayed;
  }

  /** Whether a load from a replica that had come so far shows the reader its own writes. */
  isEnough(replayed: string | null): boolean {
    return this.progress.isEnough(replayed);
  }

  /** Whether the replica may not have the reader's own writes, who may still wait. */
  get isBehindReader(): boolean {
    return !this.isEnough(this.replayed);
  }

  /** Resolves once the replica has told how far it is, or the reader has waited enough. */
  told(): Promise<void> {
    return this.progress.told();
  }

  /**
   * Marks everything, once for each server, as of when this instance hears of every change:
   * changes from before may not have reached the server.
   */
  begin(): void {
    if (this.#server === this.server) return;
    this.#server = this.server;
    const position = this.progress.start();
    if (position !== null) this.#mark([''], position);
  }

  add(message: InvalidationMessage): void {
    const names = this.#namesIn(message);
    if (names.length > 0) this.#mark(names, this.progress.positionOf(message));
  }

  /** Forgets what is marked with positions that the replica has passed. */
  forget(isPassed: (position: MarkPosition) => boolean): void {
    if (this.#marks === null) return;
    const left = [...this.#marks.entries].filter(
      ([, position]) => !isPassed(position),
    );
    if (left.length === this.#marks.size) return;
    // Loads under way keep the old marks.
    this.#marks = left.length === 0 ? null : new Marks(left);
  }

  /** The cache has ended. */
  end(): void {
    this.progress.leave(this);
    this.onEnd();
  }

  #mark(names: readonly string[], position: MarkPosition): void {
    this.#marks ??= new Marks();
    for (const name of names) {
      this.#marks.add(name, position, this.progress.later);
    }
    this.progress.follow(this);
  }

  #namesIn(message: InvalidationMessage): readonly string[] {
    const keys = keysOf(message);
    if (keys === null) {
      const family = familyOf(literalPrefix(message.pattern ?? '*'));
      return this.#concerns(family) ? [family] : [];
    }
    const names = keys.filter((key) => this.#concerns(key));
    return names.length > NAMES ? [...new Set(names.map(familyOf))] : names;
  }

  /** @param name a cache key or a family */
  #concerns(name: string): boolean {
    return this.dependsOnOthers || name === '' || name.startsWith(this.family);
  }
}
