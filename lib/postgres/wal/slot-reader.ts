import { retryDelay, settlesWithin } from '../../common/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import { endQuietly } from '../postgres-client.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { SourceLog } from '../source-log.js';
import { sourceName } from '../source-name.js';
import { HolderSession } from './holder-session.js';
import type { SourceLag } from './log-progress.js';
import { Publication } from './publication.js';
import { isTaken, ReplicationSlot } from './replication-slot.js';
import { startSession } from './session-start.js';
import { SlotElection } from './slot-election.js';

/** Milliseconds that a stop waits for a connection that is being opened. */
const STOP_MS = 1_000;

/**
 * Announces what the replication slot sends, while this instance has it; else tries to
 * take it each heartbeat.
 *
 * @internal
 */
export class SlotReader {
  /** The slot has none. */
  readonly waiting = null;
  readonly #slot: ReplicationSlot;
  readonly #election: SlotElection;
  #session: HolderSession | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #isClosed = true;
  /** When this instance last took the slot, by `performance.now()`. */
  #heldSince = 0;

  constructor(
    private readonly options: PostgresSourceOptions,
    private readonly outlet: SourceOutlet,
    private readonly log: SourceLog,
  ) {
    const { slot, publication, tables } = options;
    this.#slot = new ReplicationSlot(slot);
    this.#election = new SlotElection(
      options,
      this.#slot,
      new Publication(publication, Object.keys(tables)),
      log,
    );
  }

  /** How far announcements are behind the log; `null` unless this is the holder. */
  get lag(): SourceLag | null {
    return this.#session?.lag ?? null;
  }

  start(): void {
    this.#isClosed = false;
    this.log.state = 'away';
    this.#lookAfter(0);
  }

  async stop(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#election.close();
    if (this.#looking !== null) await settlesWithin(STOP_MS, this.#looking);
    await this.#session?.stop();
    this.#session = null;
    this.log.state = 'off';
  }

  #lookAfter(delay: number): void {
    if (this.#isClosed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#looking = this.#look();
    }, delay);
    this.#timer.unref();
  }

  /** Takes the slot if it is free. Never rejects. */
  async #look(): Promise<void> {
    const { heartbeat } = this.options;
    try {
      // A holder without Redis would keep others from announcing.
      if (!this.outlet.writable) {
        this.log.state = 'away';
        await this.#election.look();
        return this.#lookAfter(Math.min(heartbeat, retryDelay(0)));
      }
      if (await this.#enter()) return;
      this.log.fault = null;
      this.log.state = 'standby';
    } catch (error) {
      if (this.#isClosed) return;
      this.#election.close();
      this.log.failed(error as Error);
    }
    this.#lookAfter(heartbeat);
  }

  /** @returns whether this instance is the holder now */
  async #enter(): Promise<boolean> {
    const links = await this.#election.enter();
    if (links === null) return false;
    const { options, outlet, log } = this;
    const record = outlet.record(sourceName(options));
    try {
      const start = await startSession(options, this.#slot, record, links);
      if (this.#isClosed) throw new Error('The application shuts down');
      const onEnded = (cause: Error | null) => this.#ended(cause);
      const parts = { options, outlet, log, slot: this.#slot, onEnded };
      this.#hold(new HolderSession(parts, links, record, start));
      return true;
    } catch (error) {
      endQuietly(links.replication);
      endQuietly(links.control.client);
      if (isTaken(error)) return false;
      throw error;
    }
  }

  #hold(session: HolderSession): void {
    this.#session = session;
    this.#heldSince = performance.now();
    session.begin();
  }

  #ended(cause: Error | null): void {
    this.#session = null;
    if (cause !== null) this.log.failed(cause);
    this.log.state = 'away';
    const { heartbeat } = this.options;
    // At once, unless it would go on so.
    const hasLasted = performance.now() - this.#heldSince > heartbeat;
    this.#lookAfter(hasLasted ? retryDelay(0) : heartbeat);
  }
}
