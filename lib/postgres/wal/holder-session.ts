import { settlesWithin } from '../../common/index.js';
import type { SourceOutlet } from '../../publisher/index.js';
import type { RelayRecord } from '../../transport/index.js';
import {
  ofCommit,
  ofDefinitions,
  ofEverythingMapped,
  ofPlace,
} from './announcements.js';
import { Announcer, type Announcement } from './announcer.js';
import { decodePgoutput } from './decode-pgoutput.js';
import type { Lsn } from './lsn.js';
import { DefinitionWatch } from './definition-watch.js';
import { endQuietly } from '../postgres-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { ReplicationFrame } from './replication-frame.js';
import type { SessionStart } from './session-start.js';
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
  /** Everything up to here is in the journal. */
  #handled: Lsn;
  /** The end of the server's log, as far as it is known. */
  #walEnd: Lsn;
  /** Everything up to here was sent, and no transaction is open. */
  #quietUpTo: Lsn = 0n;
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
    this.#handled = place.lsn;
    this.#walEnd = place.lsn;
    this.#announcer = new Announcer(options.slot, record, recorded, outlet, {
      onRecorded: (lsn) => {
        if (lsn > this.#handled) this.#handled = lsn;
      },
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
      () => this.#readSnapshot(),
      options.visibility,
      { onChanged: () => this.#announcer.send(), onFailed: fail },
    );
    this.#reader = new TransactionReader(
      options.tables,
      options.bulk,
      (table) => this.#definitions.catalog.keyOf(table),
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

  /** Bytes of the server's log that are not handled yet, as far as is known. */
  get lagBytes(): number {
    return Number(this.#walEnd - this.#handled);
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
    this.start.stream.acknowledge(this.#handled, true);
    this.start.stream.resume();
    await settlesWithin(STOP_MS, answered);
    this.#close();
  }

  #handle(frame: ReplicationFrame): void {
    if (frame.walEnd > this.#walEnd) this.#walEnd = frame.walEnd;
    if (frame.kind === 'keepalive') {
      this.#heard?.();
      if (frame.isUrgent) this.start.stream.acknowledge(this.#handled, false);
      if (!this.#reader.isOpen) this.#quietUpTo = frame.walEnd;
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
  }

  #announce(announcement: Announcement): void {
    this.#place = announcement.place;
    this.#announcer.push(announcement);
    if (!announcement.isVisible) this.#gate.add(announcement);
  }

  async #readSnapshot(): Promise<string> {
    const rows = await this.links.control.query<{ snapshot: string }>({
      name: 'cache-invalidation-snapshot',
      // The name that versions before 13 have, too.
      text: 'select txid_current_snapshot()::text as snapshot',
    });
    return rows[0]!.snapshot;
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
    const quiet = this.#quietUpTo;
    // Else the server would keep its log for writes to tables that are not mapped.
    if (this.#announcer.isIdle && quiet > this.#handled && !this.#isStopping) {
      this.#announce(ofPlace({ identity: this.#place.identity, lsn: quiet }));
    }
    stream.acknowledge(this.#handled, true);
    void this.#announcer.check();
    void this.#checkDefinitions();
  }

  /** Invalidates the types of tables whose definitions have changed. */
  async #checkDefinitions(): Promise<void> {
    const { options, log } = this.parts;
    try {
      await this.#definitions.check((changed, digest) => {
        if (this.#hasEnded) return;
        this.#reader.renewKeys();
        for (const table of changed) log.redefined(table);
        const identity = { ...this.#place.identity, tables: digest };
        const place = { identity, lsn: this.#place.lsn };
        this.#announce(ofDefinitions(options.tables, changed, place));
      });
    } catch (error) {
      this.#end(error as Error);
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
