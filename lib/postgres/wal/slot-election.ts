import type { Client } from 'pg';
import { ControlClient } from './control-client.js';
import { endQuietly, openClient, openReplication } from '../postgres-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import type { PostgresSourceOptions } from '../postgres.options.js';
import type { Publication } from './publication.js';
import {
  isTaken,
  type ReplicationSlot,
  type SlotState,
} from './replication-slot.js';
import type { SourceLog } from '../source-log.js';
import { TableCatalog } from './table-catalog.js';

/** Milliseconds after which the creation of a slot is worth a line of the log. */
const SLOW_MS = 10_000;

/** Connections of an instance that may read the slot. @internal */
export interface SlotLinks {
  /** For queries. */
  readonly control: ControlClient;
  /** For the stream. */
  readonly replication: Client;
}

/**
 * Finds out whether the slot is free, and sees that it and its publication are there.
 * Several instances may do so at once: the server gives the slot to one of them.
 *
 * @internal
 */
export class SlotElection {
  #control: ControlClient | null = null;
  #replication: Client | null = null;

  constructor(
    private readonly options: PostgresSourceOptions,
    private readonly slot: ReplicationSlot,
    private readonly publication: Publication,
    private readonly log: SourceLog,
  ) {}

  /**
   * @returns `null` while another instance has the slot, or prepares it
   * @throws what PostgreSQL answers, and InvalidationPostgresError for what has to be
   * mended first
   */
  async enter(): Promise<SlotLinks | null> {
    try {
      return await this.#enter();
    } catch (error) {
      this.close();
      if (isTaken(error)) return null;
      throw error;
    }
  }

  /**
   * Looks at the slot and does not take it.
   *
   * @returns the connection, and the slot; `null` if there is none
   * @throws what PostgreSQL answers
   */
  async look(): Promise<readonly [ControlClient, SlotState | null]> {
    const control = (this.#control ??= new ControlClient(
      await this.#open(openClient),
    ));
    await this.#refuseStandby(control);
    const state = await this.slot.read(control);
    this.log.saw(state);
    return [control, state];
  }

  async #enter(): Promise<SlotLinks | null> {
    const [control, state] = await this.look();
    if (state !== null && state.activePid !== null) return null;
    const { tables, publication } = this.options;
    await TableCatalog.read(control, tables, publication);
    const isKept = await this.#prepare(control, state);
    if (isKept === null) return null;
    const replication = await this.#open(openReplication);
    this.#replication = replication;
    if (!isKept && !(await this.#create(replication))) {
      this.close();
      return null;
    }
    this.#control = null;
    this.#replication = null;
    return { control, replication };
  }

  /** Ends its connections, also while it waits for the server. */
  close(): void {
    endQuietly(this.#control?.client ?? null);
    endQuietly(this.#replication);
    this.#control = null;
    this.#replication = null;
  }

  /** Waits for every transaction that is open, however long that is. */
  async #create(replication: Client): Promise<boolean> {
    const { name } = this.slot;
    const timer = setInterval(() => this.log.waits(name), SLOW_MS);
    timer.unref();
    try {
      return await this.slot.create(replication);
    } finally {
      clearInterval(timer);
    }
  }

  /** A standby tells too little of the transactions that are in progress. */
  async #refuseStandby(control: ControlClient): Promise<void> {
    const [server] = await control.query<{ is_standby: boolean }>(
      'select pg_is_in_recovery() as is_standby',
    );
    if (server?.is_standby === false) return;
    throw new InvalidationPostgresError(
      'The server is a standby.',
      'Give the address of the primary.',
    );
  }

  /**
   * Completes the publication, and drops a slot that has missed changes.
   *
   * @returns whether there is a slot that goes on; `null` if another instance has completed
   * the publication meanwhile
   */
  async #prepare(
    control: ControlClient,
    state: { readonly isLost: boolean } | null,
  ): Promise<boolean | null> {
    const command = await this.publication.missing(control);
    if (command === null) {
      if (state?.isLost === true) await this.slot.drop(control);
      return state?.isLost === false;
    }
    await control.query('begin');
    try {
      await this.publication.complete(control, command);
      // The slot has missed what was not published; a new one waits for open transactions.
      if (state !== null) await this.slot.drop(control);
      await control.query('commit');
    } catch (error) {
      await control.query('rollback');
      if ((await this.publication.missing(control)) === null) return null;
      throw error;
    }
    return false;
  }

  #open(open: typeof openClient | typeof openReplication): Promise<Client> {
    const { connection, timeout } = this.options;
    return open({ connection, timeout, onLost: () => this.close() });
  }
}
