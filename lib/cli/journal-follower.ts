import { describeCause, InvalidationTimeoutError } from '../errors/index.js';
import { JOURNAL_START } from '../message/index.js';
import { JournalPager } from '../transport/index.js';
import { readMessage, type ReceivedMessage } from './received-message.js';
import type { RedisLink } from './redis-link.js';

const HELD_LIMIT = 10_000;

/** @internal */
export interface FollowerOptions {
  /** The offset from which to show the journal, `null` for none; called once. */
  begin(): Promise<string | null>;
  show(received: ReceivedMessage): void;
  note(note: string): void;
}

/**
 * Shows the messages of a channel, each once and in order; missed ones come from the
 * journal. Unlike an instance it has no caches to protect: it shows every message,
 * and only reports that the journal lacks some that were missed.
 *
 * @internal
 */
export class JournalFollower {
  /** Every message up to this offset has been shown; `null` if that is not known. */
  #position: string | null = null;
  /** Offset of the last message that was shown as it came. */
  #shown: string | null = null;
  /** Offsets shown from the journal, which the subscription may still deliver. */
  readonly #replayed = new Set<string>();
  /** Messages that came while the journal is read. */
  #held: ReceivedMessage[] = [];
  #reading = false;
  #readAgain = false;
  #begun = false;

  constructor(
    private readonly link: RedisLink,
    private readonly options: FollowerOptions,
  ) {}

  receive(received: ReceivedMessage): void {
    const { offset = null, previous = null } = received.message ?? {};
    if (offset === null) return this.options.show(received);
    if (this.#reading) return this.#hold(received);
    if (this.#isShown(offset)) return;
    if (this.#position !== null && previous !== this.#position) {
      this.#hold(received);
      return void this.catchUp();
    }
    // One connection delivers in order, so nothing older follows.
    this.#replayed.clear();
    this.#show(offset, received);
  }

  /** Reads messages that may have been missed; new ones are held meanwhile. */
  async catchUp(): Promise<void> {
    this.#readAgain = true;
    if (this.#reading) return;
    this.#reading = true;
    while (this.#readAgain) {
      this.#readAgain = false;
      await this.#read().catch((error: Error) => this.#failed(error));
    }
    this.#reading = false;
    this.#release();
  }

  #hold(received: ReceivedMessage): void {
    if (this.#held.push(received) <= HELD_LIMIT) return;
    // The journal holds them as well.
    this.#held = [];
    this.#readAgain = true;
  }

  /** Shows the held messages, whether or not the journal's chain has them. */
  #release(): void {
    for (const received of this.#held) {
      const offset = received.message!.offset!;
      if (this.#isShown(offset)) continue;
      this.#show(offset, received);
    }
    this.#held = [];
  }

  #show(offset: string, received: ReceivedMessage): void {
    this.#position = offset;
    this.#shown = offset;
    this.options.show(received);
  }

  /** Not by the position: the journal's last message may still be on its way. */
  #isShown(offset: string): boolean {
    return offset === this.#shown || this.#replayed.has(offset);
  }

  async #read(): Promise<void> {
    await this.#whenReady();
    if (this.#position !== null) return this.#readFrom(this.#position);
    const begin = this.#begun ? null : await this.options.begin();
    this.#begun = true;
    if (begin !== null) await this.#readFrom(begin);
    this.#position ??= await this.#answer(this.link.journal.tail());
  }

  async #readFrom(start: string): Promise<void> {
    const pager = new JournalPager((from, count) =>
      this.#answer(this.link.journal.read(from, count)),
    );
    let unbroken = true;
    for await (const { entries } of pager.pages(start)) {
      for (const { offset, payload } of entries) {
        if (offset === this.#position) continue;
        const received = readMessage(payload, true, this.link.signer);
        unbroken &&= this.#isNext(received);
        this.#position = offset;
        this.#replay(offset, received);
      }
      // The journal does not even hold the message that was shown last.
      if (entries.length === 0) unbroken &&= this.#isAtStart();
    }
    if (unbroken) return;
    this.options.note('something was missed that the journal does not hold');
    this.#position = null;
  }

  #isNext({ message }: ReceivedMessage): boolean {
    return this.#position === null || message?.previous === this.#position;
  }

  #isAtStart(): boolean {
    return this.#position === null || this.#position === JOURNAL_START;
  }

  #replay(offset: string, received: ReceivedMessage): void {
    this.#replayed.add(offset);
    if (this.#replayed.size > HELD_LIMIT) {
      const [oldest = ''] = this.#replayed;
      this.#replayed.delete(oldest);
    }
    this.options.show(received);
  }

  #failed(error: Error): void {
    this.#position = null;
    this.options.note(
      `the journal could not be read, so missed messages are not shown: ${describeCause(error)}`,
    );
    // The connection may be dead, and report no error.
    if (error instanceof InvalidationTimeoutError) {
      this.link.reopen();
    }
  }

  /** Rejects if it takes too long. */
  async #whenReady(): Promise<void> {
    const { client } = this.link;
    if (client.status === 'ready') return;
    await this.link.waitFor(
      'a reading of the journal',
      new Promise<void>((resolve) => client.once('ready', () => resolve())),
    );
  }

  #answer<T>(answer: Promise<T>): Promise<T> {
    return this.link.within('a reading of the journal', answer);
  }
}
