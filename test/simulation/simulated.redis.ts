import {
  compareOffsets,
  ENCODED_ORIGIN_LENGTH,
  JOURNAL_START,
} from '../../lib/message/index.js';
import type { JournalEntry, Published } from '../../lib/transport/index.js';
import type { Random } from './random.js';
import { RelayRecords } from './regions.records.js';
import type { VirtualTime } from './virtual.time.js';

/** Position of the id in a payload, as the publish script reads it. */
const ID_AT = 15;
const ID_END = 51;
const NONCE_END = 20;

/** A subscription as the server sees it. */
export interface Subscriber {
  /** Receives a payload that is on its way. */
  push(payload: string): void;
  /** Called when the server has closed the connection. */
  closed(): void;
}

/** One Redis process, with the effects of the publish script on its journal. */
export class SimulatedServer {
  readonly subscribers = new Set<Subscriber>();
  /** Connections for commands, which are informed when the server closes them. */
  readonly clients = new Set<{ closed(): void }>();
  journal: JournalEntry[] = [];
  /** The records of relays, which are one unit of replication with the journal. */
  relays = new RelayRecords();
  /** Time at which the first entry of a new journal was written. */
  journalBegan = 0;
  /** Deviation of its clock from the real one. */
  skew = 0;
  up = true;
  /** Number of starts: a connection from an earlier start is dead. */
  life = 1;
  /** Error of every publish, or `null`. */
  refusal: string | null = null;
  /** Whether every command fails with LOADING. */
  loading = false;
  #lastId = [0, 0];
  #stopped: (() => void)[] | null = null;

  constructor(
    readonly name: string,
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly maxLength: number,
    private readonly onAppended: (payload: string, offset: string) => void,
  ) {}

  /** A replica without the last entries, as it is promoted. */
  replica(name: string, lost: number): SimulatedServer {
    const { time, random, maxLength, onAppended } = this;
    const copy = new SimulatedServer(name, time, random, maxLength, onAppended);
    copy.restore(this, lost);
    return copy;
  }

  /** Takes over what another server has, without the last entries. */
  restore({ journal, relays }: SimulatedServer, lost: number): void {
    const kept = journal.slice(0, Math.max(0, journal.length - lost));
    const end = relays.boundary(kept.at(-1)?.offset ?? JOURNAL_START);
    this.journal = kept.filter(
      ({ offset }) => compareOffsets(offset, end) <= 0,
    );
    this.relays = relays.upTo(lost === 0 ? null : end);
    this.#lastId = parse(this.tail);
  }

  /** Executes a command now, or once the process is continued. */
  handle(command: () => void): void {
    if (this.#stopped === null) command();
    else this.#stopped.push(command);
  }

  get stopped(): boolean {
    return this.#stopped !== null;
  }

  /** SIGSTOP. */
  stop(): void {
    this.#stopped ??= [];
  }

  /** SIGCONT. */
  continue(): void {
    const waiting = this.#stopped ?? [];
    this.#stopped = null;
    for (const command of waiting) command();
  }

  /** Ends the process, and with it every connection. */
  kill(): void {
    this.up = false;
    this.#stopped = null;
    this.closeAll();
  }

  start(): void {
    if (this.up) return;
    this.up = true;
    this.life++;
  }

  closeAll(): void {
    for (const each of [...this.clients, ...this.subscribers]) each.closed();
    this.clients.clear();
    this.subscribers.clear();
  }

  get tail(): string {
    return this.journal.at(-1)?.offset ?? JOURNAL_START;
  }

  read(from: string, count: number): JournalEntry[] {
    this.#check();
    const start = from === '-' ? 0 : this.#indexOf(from);
    return this.journal.slice(start, start + count);
  }

  readTail(): string {
    this.#check();
    return this.tail;
  }

  /** The publish script. */
  publish(
    payloads: readonly string[],
    triedSince: string | null,
    journaled: boolean,
  ): Published[] {
    this.#check();
    const failsAt = this.failingAt(payloads.length);
    const announced = this.#announced(triedSince);
    return payloads.map((payload, index) => {
      if (index >= failsAt) throw new Error(this.refusal ?? '');
      const known = announced.get(payload.slice(ID_AT, ID_END));
      if (known !== undefined) return { offset: known, receivers: null };
      if (!journaled)
        return { offset: null, receivers: this.announce(payload) };
      return this.journalAndAnnounce(payload);
    });
  }

  /** Index of the first payload that is refused: an error may come after some. */
  failingAt(length: number): number {
    if (this.refusal === null) return Infinity;
    return this.random.chance(0.7) ? 0 : this.random.whole(0, length - 1);
  }

  journalAndAnnounce(payload: string, salt = 0): Published {
    const { offset, complete } = this.#append(payload, salt);
    return { offset, receivers: this.announce(complete) };
  }

  /** Executes a command of a relay. */
  command<T>(job: (server: SimulatedServer) => T): T {
    this.#check();
    return job(this);
  }

  announce(payload: string): number {
    for (const subscriber of this.subscribers) subscriber.push(payload);
    return this.subscribers.size;
  }

  /** An ID that XADD accepts, so many milliseconds after the last one. */
  nextOffset(later: number): string {
    const [ms = 0] = this.#lastId;
    return `${Math.max(ms, this.#clock) + later}-1`;
  }

  /** XADD by hand. */
  write(entry: JournalEntry): void {
    if (this.tail === JOURNAL_START) this.journalBegan = this.time.now;
    this.journal.push(entry);
    this.#lastId = parse(entry.offset);
  }

  trim(keep: number): void {
    this.journal = keep === 0 ? [] : this.journal.slice(-keep);
  }

  /** Removes the journal, as DEL or an eviction does: a new one begins. */
  removeJournal(): void {
    this.journal = [];
    this.#lastId = [0, 0];
  }

  /** Everything that the process has written, as a start without persistence does. */
  removeAll(): void {
    this.removeJournal();
    this.relays = this.relays.emptied();
  }

  #check(): void {
    if (this.loading) throw new Error('LOADING Redis is loading the dataset');
  }

  #announced(triedSince: string | null): Map<string, string> {
    const announced = new Map<string, string>();
    if (triedSince === null) return announced;
    // Beyond the end, so the journal is not the one of the first try any more.
    const isBeyond =
      triedSince !== '-' && compareOffsets(triedSince, this.tail) > 0;
    const from = triedSince === '-' || isBeyond ? 0 : this.#indexOf(triedSince);
    for (const { offset, payload } of this.journal.slice(from)) {
      announced.set(payload.slice(ID_AT, ID_END), offset);
    }
    return announced;
  }

  /** Index of the first entry at or after an offset. */
  #indexOf(offset: string): number {
    const [ms = 0, seq = 0] = parse(offset);
    const after = this.journal.findLastIndex((entry) => {
      const [entryMs = 0, entrySeq = 0] = parse(entry.offset);
      return entryMs < ms || (entryMs === ms && entrySeq < seq);
    });
    return after + 1;
  }

  get #clock(): number {
    return Math.floor(1_763_800_000_000 + this.time.now + this.skew);
  }

  #append(payload: string, salt: number): { offset: string; complete: string } {
    const previous = this.tail;
    const digits = parseInt(payload.slice(ID_AT, NONCE_END), 16);
    const nonce = (digits + salt) % 0x100000;
    const now = this.#clock;
    let [ms = 0, seq = 0] = parse(previous);
    const [lastMs = 0, lastSeq = 0] = this.#lastId;
    const next = (): void => {
      if (now > ms) [ms, seq] = [now, nonce];
      else seq += 1 + nonce;
    };
    next();
    if (ms < lastMs || (ms === lastMs && seq <= lastSeq)) {
      [ms, seq] = [lastMs, lastSeq];
      next();
    }
    this.#lastId = [ms, seq];
    if (previous === JOURNAL_START) this.journalBegan = this.time.now;
    const offset = `${ms}-${seq}`;
    const complete =
      payload.slice(0, -ENCODED_ORIGIN_LENGTH) +
      `,"offset":"${offset}","previous":"${previous}"` +
      payload.slice(-ENCODED_ORIGIN_LENGTH);
    this.journal.push({ offset, payload: complete });
    // MAXLEN ~ keeps some more.
    if (this.journal.length > this.maxLength * 1.5) this.trim(this.maxLength);
    this.onAppended(complete, offset);
    return { offset, complete };
  }
}

function parse(offset: string): number[] {
  return offset.split('-').map(Number);
}
