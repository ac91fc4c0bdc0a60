import { setImmediate as nextTurn } from 'node:timers/promises';
import { Deadlines } from '../common/index.js';
import type { InvalidationMessage } from '../message/index.js';
import type { ErrorReporter } from '../stream/index.js';
import { MarkPosition } from './mark-position.js';
import type { ReplicaMarks } from './replica-marks.js';
import { ReplicaReports } from './replica-reports.js';
import { PositionOrder } from './position-order.js';
import { readPosition, WaitingReaders } from './read-position.js';
import { EVERYTHING, positionIn, type Replica } from './replica.js';

/** Milliseconds from one question to the next: at least, and at most while nothing changes. */
const PAUSE_MS = { least: 20, most: 500 };
/** How long an answer may take, in milliseconds. */
const ANSWER_MS = 5_000;
/** Marks that stay for so long, in milliseconds, may be of a position that was only claimed. */
const DOUBT_MS = 1_000;

const LATE = new Error(`no answer in ${ANSWER_MS} ms`);
const STOPPED = new Error('the application ends');

/**
 * Follows how far a replica has come, as long as any cache has marks or any reader waits:
 * nothing is asked otherwise. Marks end by position only, never by time.
 *
 * @internal
 */
export class ReplicaProgress {
  readonly #followers = new Set<ReplicaMarks>();
  readonly #order: PositionOrder;
  readonly #reports: ReplicaReports;
  readonly #deadlines = new Deadlines();
  readonly #readers = new WaitingReaders();
  /** The position of all that were marked since the last question to the primary. */
  #next = new MarkPosition();
  #timer: NodeJS.Timeout | null = null;
  #pause = PAUSE_MS.least;
  #isAsking = false;
  #askedAt = -Infinity;
  /** When the primary was last asked although all positions were known. */
  #doubtedAt = -Infinity;
  #isStopped = false;
  #server = 0;
  readonly #unlisten: unknown;
  /** The latest position that a server has told; `null` before the first one. */
  #told: string | null = null;
  /** The server that has told it. */
  #toldBy = -1;

  constructor(
    private readonly replica: Replica,
    errors: ErrorReporter,
  ) {
    this.#reports = new ReplicaReports(errors);
    this.#order = new PositionOrder(replica);
    this.#unlisten = replica.onConnect?.(() => this.#server++);
  }

  /** Number of the server that answers; another one with each connection. */
  get server(): number {
    return this.#server;
  }

  /** The latest position that the server has told; `null` if it has told none. */
  get replayed(): string | null {
    return this.#toldBy === this.#server ? this.#told : null;
  }

  /** Whether a load from a replica that had come so far shows the reader its own writes. */
  isEnough(replayed: string | null): boolean {
    const position = this.#isStopped ? null : readPosition(this.replica);
    if (position === null) return true;
    return replayed !== null && this.#order.passedBy(replayed)(position);
  }

  /** Resolves once the replica has answered, or the reader has waited long enough. */
  told(): Promise<void> {
    const told = this.#readers.wait(this.#deadlines);
    this.#askSoon(true);
    return told;
  }

  /** The position to mark everything with at a start; `null` if it cannot be asked. */
  start(): MarkPosition | null {
    if (this.replica.current !== undefined) return this.#next;
    this.#reports.cannotAsk();
    return null;
  }

  positionOf({ at }: Pick<InvalidationMessage, 'at'>): MarkPosition {
    const position = positionIn(at, this.replica);
    return position === null ? this.#next : new MarkPosition(position);
  }

  /** A position that is passed only when both of these are. */
  readonly later = (one: MarkPosition, other: MarkPosition): MarkPosition => {
    // An answer to a question that is yet to be sent covers both.
    if (other.value === null && !other.isAsked) return other;
    if (one.value === null && !one.isAsked) return one;
    if (one.value === null || other.value === null) return this.#next;
    const since = Math.min(one.since, other.since);
    try {
      const isLess = this.#order.isBefore(one.value, other.value);
      return new MarkPosition(isLess ? other.value : one.value, since);
    } catch {
      return this.#next;
    }
  };

  /** Tells these marks how far the replica is, until they have ended. */
  follow(marks: ReplicaMarks): void {
    this.#followers.add(marks);
    this.#askSoon(false);
  }

  /** The marks of a cache that has ended are asked for no more. */
  leave(marks: ReplicaMarks): void {
    this.#followers.delete(marks);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#deadlines.cancel(STOPPED);
    try {
      // Untyped code may return a pool in place of a function.
      if (typeof this.#unlisten === 'function') this.#unlisten();
    } catch (error) {
      this.#reports.staysHeard(error);
    }
  }

  /** @param isUrgent whether a pause that has begun is cut short */
  #askSoon(isUrgent: boolean): void {
    this.#pause = PAUSE_MS.least;
    if (this.#isAsking || this.#isStopped) return;
    if (this.#timer !== null && !isUrgent) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const due = this.#askedAt + PAUSE_MS.least;
    this.#wait(Math.max(0, due - performance.now()));
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#ask();
    }, ms).unref();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    this.#askedAt = performance.now();
    const before = this.#marked;
    const asked = [this.#askPrimary(), this.#askReplica()];
    for (const answer of await Promise.allSettled(asked)) {
      if (answer.status === 'rejected' && !this.#isStopped) {
        this.#reports.silent(answer.reason);
      }
    }
    this.#isAsking = false;
    const waiting = this.#followers.size + this.#readers.size;
    if (this.#isStopped || waiting === 0) return;
    if (this.#marked < before) this.#pause = PAUSE_MS.least;
    this.#wait(this.#pause);
    this.#pause = Math.min(PAUSE_MS.most, 2 * this.#pause);
  }

  /**
   * The primary's position is at or after every change that was announced before the
   * question: also where a message claims a later one, which the log may never reach.
   */
  async #askPrimary(): Promise<void> {
    if (this.replica.current === undefined) return;
    const positions = this.#questionable();
    if (positions.length === 0) return;
    const unknown = positions.filter(({ value }) => value === null);
    const isDoubtful = unknown.length < positions.length;
    for (const position of unknown) position.isAsked = true;
    this.#next = new MarkPosition();
    try {
      const now = await this.#answer(() => this.replica.current!());
      this.#order.check(now);
      const passed = this.#order.passedBy(now);
      for (const position of positions) {
        // A position that cannot be compared was told before the question, too.
        if (passed(position.value)) continue;
        position.value = now;
        position.since = performance.now();
      }
      if (isDoubtful) this.#doubtedAt = performance.now();
    } catch (error) {
      for (const position of unknown) position.isAsked = false;
      throw error;
    }
  }

  async #askReplica(): Promise<void> {
    const server = this.#server;
    const told = await this.#answer(() => this.replica.applied());
    if (told !== EVERYTHING) this.#order.check(told);
    // Marks since a new connection may be of a server that has not told this position.
    const isOfAnother = (): boolean => server !== this.#server;
    if (this.#isBehindItself(told)) this.#server++;
    this.#told = told;
    this.#toldBy = server;
    const passed = this.#order.passedBy(told);
    const isPassed = ({ value }: MarkPosition): boolean =>
      !(value === null && isOfAnother()) && passed(value);
    for (const marks of this.#followers) {
      marks.forget(isPassed);
      if (marks.pending === null) this.#followers.delete(marks);
      // Each cache may have thousands.
      await nextTurn();
    }
    this.#readers.resolve();
  }

  /** Whether it has told a later position before: it is another server. */
  #isBehindItself(told: string): boolean {
    if (this.#told === null || told === EVERYTHING) return false;
    return (
      this.#told === EVERYTHING ||
      this.#order.isBeforeOr(true, told, this.#told)
    );
  }

  /** Positions of marks, each once, that are not known, or long enough to be doubted. */
  #questionable(): MarkPosition[] {
    const found = new Set<MarkPosition>();
    const due = performance.now() - DOUBT_MS;
    const long = this.#doubtedAt < due ? due : -Infinity;
    for (const { pending } of this.#followers) {
      for (const each of pending?.positions ?? []) {
        if (each.value === null || each.since < long) found.add(each);
      }
    }
    return [...found];
  }

  get #marked(): number {
    let sum = 0;
    for (const { pending } of this.#followers) sum += pending?.size ?? 0;
    return sum;
  }

  #answer(ask: () => Promise<string>): Promise<string> {
    const answer = new Promise<string>((resolve) => resolve(ask()));
    return this.#deadlines.within(ANSWER_MS, answer, () => LATE);
  }
}
