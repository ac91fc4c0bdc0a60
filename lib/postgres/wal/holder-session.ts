import { settlesWithin } from '../../common/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import type { RelayRecord } from '../../transport/index.js';
import {
  ofCommit,
  ofDefinitions,
  ofEverythingMapped,
  ofPlace,
  type Announcement,
} from './announcements.js';
import { Announcer } from './announcer.js';
import { decodePgoutput } from './decode-pgoutput.js';
import { LogProgress, type SourceLag } from './log-progress.js';
import { DefinitionWatch } from './definition-watch.js';
import { endQuietly } from '../postgres-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { ReplicationFrame } from './replication-frame.js';
import type { ReplicationSlot } from './replication-slot.js';
import type { SessionStart } from './session-start.js';
import { readSnapshot } from './snapshot.js';
import type { SlotLinks } from './slot-election.js';
import type { SourceLog } from '../source-log.js';
import type { SourcePlace } from './source-place.js';
import { TransactionReader, type Commit } from './transaction-reader.js';
import { VisibilityGate } from './visibility-gate.js';

/** Milliseconds that a clean stop waits for what is under way. */
const STOP_MS = 1_000;

/** @internal */
export interface HolderParts {
  readonly options: PostgresSourceOptions;
  readonly outlet: SourceOutlet;
  readonly log: SourceLog;
  readonly slot: ReplicationSlot;
  /** Called once, unless `stop()` was. */
  readonly onEnded: (cause: Error | null) => void;
}

/**
 * Announces what comes from the slot, as long as this instance has it. Whatever fails
 * ends the session: the next one begins where the record is.
 *
 * @internal
 */
export class HolderSession {
  readonly #announcer: Announcer;
  readonly #gate: VisibilityGate;
  readonly #reader: TransactionReader;
  readonly #definitions: DefinitionWatch;
  readonly #timer: NodeJS.Timeout;
  /** The place of the last announcement. */
  #place: SourcePlace;
  readonly #progress: LogProgress;
  #hasEnded = false;
  #isStopping = false;
  #heard: (() => void) | null = null;

  constructor(
    private readonly parts: HolderParts,
    private readonly links: SlotLinks,
    record: RelayRecord,
    private readonly start: SessionStart,
  ) {
    const { options, log, outlet } = parts;
    const { place, recorded, catalog } = start;
    const fail = (error: Error): void => this.#end(error);
    this.#definitions = new DefinitionWatch(
      links.control,
      options.tables,
      options.publication,
      catalog,
    );
    this.#place = place;
    this.#progress = new LogProgress(place.lsn, (asOf) =>
      this.#announcer.prove(asOf),
    );
    this.#announcer = new Announcer(options.slot, record, recorded, outlet, {
      onRecorded: (lsn) => this.#progress.recorded(lsn),
      onOvertaken: () => this.#end(null),
      onFailed: (error) => {
        log.unpublished(error);
        this.#end(null);
      },
      onRoom: () => {
        if (!this.#isStopping) start.stream.resume();
      },
    });
    this.#gate = new VisibilityGate(
      () => readSnapshot(links.control),
      options.visibility,
      { onChanged: () => this.#announcer.send(), onFailed: fail },
    );
    this.#reader = new TransactionReader(
      options.tables,
      options.bulk,
      () => this.#definitions.catalog,
      {
        onWidened: (cause, table) => log.onWidened(cause, table),
        onMapperFailed: (table, problem) => log.onMapperFailed(table, problem),
        onCommit: (commit) => this.#commit(commit),
        onDescribed: () => void this.#checkDefinitions(),
      },
    );
    this.#timer = setInterval(() => this.#beat(), options.heartbeat);
    this.#timer.unref();
    for (const client of [links.control.client, links.replication]) {
      client.on('error', fail);
      client.on('end', () => fail(new Error('The connection was closed')));
    }
  }

  /** How far announcements are behind the server's log. */
  get lag(): SourceLag {
    return this.#progress.lag(this.#announcer.oldestCommit);
  }

  begin(): void {
    const { missed, stream, place } = this.start;
    const { tables, slot } = this.parts.options;
    this.parts.log.announces(`slot ${slot}`);
    if (missed !== null) {
      this.parts.log.missed(missed);
      this.#announce(ofEverythingMapped(tables, place));
    }
    stream.flow({
      onFrame: (frame) => this.#handle(frame),
      onEnded: (cause) => this.#end(cause),
    });
  }

  /** Announces what is under way, acknowledges it, and leaves the slot to others. */
  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#isStopping = true;
    await settlesWithin(STOP_MS, this.#announcer.whenIdle());
    const answered = new Promise<void>((resolve) => (this.#heard = resolve));
    this.start.stream.acknowledge(this.#progress.handled, true);
    this.start.stream.resume();
    await settlesWithin(STOP_MS, answered);
    this.#close();
  }

  #handle(frame: ReplicationFrame): void {
    this.#progress.extend(frame.walEnd);
    if (frame.kind === 'keepalive') {
      this.#heard?.();
      if (frame.isUrgent)
        this.start.stream.acknowledge(this.#progress.handled, false);
      if (this.#isStopping || this.#reader.isOpen) return;
      this.#progress.received(frame.walEnd);
    } else if (!this.#isStopping) {
      this.#reader.read(decodePgoutput(frame.content));
      if (this.#announcer.isFull) this.start.stream.pause();
    }
  }

  #commit(commit: Commit): void {
    // An earlier holder has announced it.
    if (commit.end <= this.start.place.lsn) return;
    const { log } = this.parts;
    log.transactions++;
    log.rows += commit.rows;
    const { identity } = this.#place;
    this.#announce(ofCommit(commit, { identity, lsn: commit.end }));
    this.#progress.received(commit.end);
  }

  #announce(announcement: Announcement): void {
    this.#place = announcement.place;
    this.#announcer.push(announcement);
    if (!announcement.isVisible) this.#gate.add(announcement);
  }

  #beat(): void {
    const { timeout } = this.parts.options;
    const { stream } = this.start;
    if (stream.silence > timeout) {
      return this.#end(
        new InvalidationPostgresError(
          `PostgreSQL was silent for ${timeout} ms.`,
          'Connecting again.',
        ),
      );
    }
    const { receivedUpTo: lsn, handled } = this.#progress;
    // Else the server would keep its log for writes to tables that are not mapped.
    if (this.#announcer.isIdle && lsn > handled && !this.#isStopping) {
      this.#announce(ofPlace({ identity: this.#place.identity, lsn }));
    }
    stream.acknowledge(handled, true);
    void this.#announcer.check();
    void this.#look();
  }

  /** Finds out where the log ends, and invalidates what the log up to there does not tell. */
  async #look(): Promise<void> {
    const asOf = performance.now();
    try {
      const state = await this.parts.slot.read(this.links.control);
      if (state === null || this.#hasEnded) return;
      this.parts.log.saw(state);
      this.#progress.looked(state, asOf);
      if (!(await this.#checkDefinitions()) || this.#hasEnded) return;
      this.#progress.await({ lsn: state.logEnd, asOf });
      this.start.stream.acknowledge(this.#progress.handled, true);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  /**
   * Invalidates the types of tables whose definitions have changed.
   *
   * @returns `false` if another check is under way, or this one has failed
   */
  async #checkDefinitions(): Promise<boolean> {
    const { options, log } = this.parts;
    try {
      return await this.#definitions.check((changed, digest) => {
        if (this.#hasEnded) return;
        this.#reader.renewKeys();
        for (const table of changed) log.redefined(table);
        const identity = { ...this.#place.identity, tables: digest };
        const place = { identity, lsn: this.#place.lsn };
        this.#announce(ofDefinitions(options.tables, changed, place));
      });
    } catch (error) {
      this.#end(error as Error);
      return false;
    }
  }

  #end(cause: Error | null): void {
    if (this.#hasEnded) return;
    this.#close();
    if (!this.#isStopping) this.parts.onEnded(cause);
  }

  #close(): void {
    this.#hasEnded = true;
    clearInterval(this.#timer);
    this.#gate.close();
    this.#announcer.close();
    this.start.stream.close();
    endQuietly(this.links.replication);
    endQuietly(this.links.control.client);
  }
}
