import { describeCause, InvalidationTimeoutError } from '../errors/index.js';
import { JOURNAL_START } from '../message/index.js';
import { hear, type Heard } from './heard.js';
import type { RedisLink } from './redis.link.js';

const PAGE = 1_000;
const HELD_LIMIT = 10_000;

/** @internal */
export interface FollowerOptions {
  /** Where in the journal to begin, `null` for nowhere; asked once. */
  begin(): Promise<string | null>;
  show(heard: Heard): void;
  note(note: string): void;
}

/**
 * Shows what is heard, each message once and in order, and from the journal what
 * was not heard. Unlike an instance it has no copies to protect: it shows all it
 * hears, and only says that something was missed which the journal lacks.
 *
 * @internal
 */
export class JournalFollower {
  /** Up to where all has been shown; `null` if that is not known. */
  #position: string | null = null;
  /** The last that was shown as it was heard. */
  #shown: string | null = null;
  /** Shown from the journal, and perhaps yet to be heard. */
  readonly #replayed = new Set<string>();
  /** What is heard while the journal is read. */
  #held: Heard[] = [];
  #reading = false;
  #readAgain = false;
  #begun = false;

  constructor(
    private readonly link: RedisLink,
    private readonly options: FollowerOptions,
  ) {}

  hear(heard: Heard): void {
    const { offset = null, previous = null } = heard.message ?? {};
    if (offset === null) return this.options.show(heard);
    if (this.#reading) return this.#hold(heard);
    if (this.#isShown(offset)) return;
    if (this.#position !== null && previous !== this.#position) {
      this.#hold(heard);
      return void this.catchUp();
    }
    // On one connection nothing older comes after what is newer.
    this.#replayed.clear();
    this.#show(offset, heard);
  }

  /** Something may have been missed: what comes meanwhile is held. */
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

  #hold(heard: Heard): void {
    if (this.#held.push(heard) <= HELD_LIMIT) return;
    // They are in the journal as well.
    this.#held = [];
    this.#readAgain = true;
  }

  /** The journal has been read: what is not of its chain is shown all the same. */
  #release(): void {
    for (const heard of this.#held) {
      const offset = heard.message!.offset!;
      if (this.#isShown(offset)) continue;
      this.#show(offset, heard);
    }
    this.#held = [];
  }

  #show(offset: string, heard: Heard): void {
    this.#position = offset;
    this.#shown = offset;
    this.options.show(heard);
  }

  /** Not by the position: the journal's end may be a message that is on its way. */
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
    let from = start;
    let unbroken = true;
    for (;;) {
      const entries = await this.#answer(this.link.journal.read(from, PAGE));
      for (const { offset, payload } of entries) {
        if (offset === this.#position) continue;
        const heard = hear(payload, true);
        unbroken &&= this.#isNext(heard);
        this.#position = offset;
        this.#replay(offset, heard);
      }
      const last = entries.at(-1)?.offset;
      // Not even the one that was shown last is there any more.
      if (last === undefined) unbroken &&= this.#isAtStart();
      if (last === undefined || entries.length < PAGE) break;
      from = last;
    }
    if (unbroken) return;
    this.options.note('something was missed that the journal does not hold');
    this.#position = null;
  }

  #isNext({ message }: Heard): boolean {
    return this.#position === null || message?.previous === this.#position;
  }

  #isAtStart(): boolean {
    return this.#position === null || this.#position === JOURNAL_START;
  }

  #replay(offset: string, heard: Heard): void {
    this.#replayed.add(offset);
    if (this.#replayed.size > HELD_LIMIT) {
      const [oldest = ''] = this.#replayed;
      this.#replayed.delete(oldest);
    }
    this.options.show(heard);
  }

  #failed(error: Error): void {
    this.#position = null;
    this.options.note(
      `the journal could not be read, so what was missed is not known: ${describeCause(error)}`,
    );
    // That connection may be dead without a word; the next one answers.
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
