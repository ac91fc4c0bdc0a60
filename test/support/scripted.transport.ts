import {
  InMemoryChannel,
  InvalidationTransport,
  MemoryTransport,
  type JournalEntry,
  type PublishReply,
  type RelayRecord,
  type TransportListener,
} from '../../lib/transport/index.js';

/** One call of `publish()`, which the test answers. */
export class ScriptedCall {
  readonly reply: Promise<PublishReply[]>;
  #resolve!: (replies: PublishReply[]) => void;

  constructor(
    readonly payloads: readonly string[],
    /** Offset from which the journal was to be searched for earlier tries. */
    readonly triedSince: string | null,
    private readonly take: (payload: string) => string | null,
  ) {
    this.reply = new Promise((resolve) => (this.#resolve = resolve));
  }

  /** Answers that the broker took everything. */
  succeed(receivers = 1): void {
    this.answer(...this.payloads.map(() => receivers));
  }

  /** Answers that the broker took nothing. */
  fail(message = 'READONLY'): void {
    this.answer(...this.payloads.map(() => new Error(message)));
  }

  /** Answers with one reply for each payload; a number is the count of receivers. */
  answer(...replies: (PublishReply | number)[]): void {
    this.#resolve(
      replies.map((reply, index) =>
        typeof reply === 'number'
          ? { receivers: reply, offset: this.take(this.payloads[index] ?? '') }
          : reply,
      ),
    );
  }
}

/** A broker whose answers, and silence, the test decides. */
export class ScriptedTransport extends InvalidationTransport {
  writable = true;
  journaled = true;
  readonly calls: ScriptedCall[] = [];
  listener: TransportListener | null = null;
  /** Answers every call at once, for tests about something else. */
  obliging = false;
  /** Messages that the broker took, with their offsets; empty without a journal. */
  readonly channel = new InMemoryChannel();
  /** The journal and the subscription never answer. */
  silent = false;
  /** Connections that were to be reopened, in order. */
  readonly reconnects: ('commands' | 'subscription')[] = [];
  /** Rights that the broker's access control withholds. */
  missing: string[] = [];

  start(listener: TransportListener): void {
    this.listener = listener;
  }

  publish(
    payloads: readonly string[],
    triedSince: string | null = null,
  ): Promise<PublishReply[]> {
    const call = new ScriptedCall(payloads, triedSince, (payload) =>
      this.journaled ? this.channel.append(payload).offset : null,
    );
    this.calls.push(call);
    if (this.obliging) call.succeed();
    return call.reply;
  }

  readJournal(from: string, count: number): Promise<JournalEntry[]> {
    const { journal } = this.channel;
    const at = journal.findIndex(({ offset }) => offset === from);
    return this.#unlessSilent(
      from === '-' || at >= 0
        ? journal.slice(Math.max(0, at)).slice(0, count)
        : [],
    );
  }

  journalTail(): Promise<string> {
    return this.#unlessSilent(this.channel.tail);
  }

  ping(): Promise<void> {
    return this.#unlessSilent(undefined);
  }

  reconnect(connection: 'commands' | 'subscription'): void {
    this.reconnects.push(connection);
  }

  async missingRights(): Promise<string[]> {
    return this.missing;
  }

  ofRegion(): never {
    throw new Error('Regions are not scripted.');
  }

  relayRecord(source: string, id: string): RelayRecord {
    return new MemoryTransport(this.channel).relayRecord(source, id);
  }

  l2Store(): never {
    throw new Error('Near caches are not scripted.');
  }

  async close(): Promise<void> {
    this.listener = null;
  }

  /** The call with this index; a negative one counts from the last. */
  call(index: number): ScriptedCall {
    const call = this.calls.at(index);
    if (call === undefined) throw new Error(`There is no call ${index}.`);
    return call;
  }

  /** Payloads that were sent, call by call. */
  get sent(): readonly (readonly string[])[] {
    return this.calls.map(({ payloads }) => payloads);
  }

  #unlessSilent<T>(answer: T): Promise<T> {
    return this.silent ? new Promise(() => undefined) : Promise.resolve(answer);
  }
}
