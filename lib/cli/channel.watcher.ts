import {
  describeCause,
  InvalidationRedisError,
  InvalidationTimeoutError,
} from '../errors/index.js';
import { JOURNAL_START } from '../message/index.js';
import { keepOpen, RedisSubscription } from '../transport/index.js';
import { hear, type Heard } from './heard.js';
import type { RedisLink } from './redis.link.js';
import { visible } from './visible.js';

const PAGE = 1_000;
const HELD_LIMIT = 10_000;
const PING_MS = 5_000;

/** Said by Redis to who may not come in: trying again is of no use. */
const REFUSED = /^(?:WRONGPASS|NOAUTH|NOPERM)/;

/** @internal */
export interface WatchOptions {
  /** Where in the journal to begin, `null` for nowhere; asked once connected. */
  begin?(link: RedisLink): Promise<string | null>;
  onHeard(heard: Heard): void;
  /** How it is going: connected, lost, something missed. */
  onNote(note: string): void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Shows everything that is said on a channel, each message once and in order,
 * and reads in the journal what was said while the connection was away. Unlike
 * an instance it has no copies to protect: what cannot be known it only says.
 *
 * @internal
 */
export class ChannelWatcher {
  /** Up to where all has been shown; `null` if that is not known. */
  #position: string | null = null;
  /** Shown from the journal, and perhaps yet to be heard. */
  readonly #replayed = new Set<string>();
  /** What is heard while the journal is read. */
  #held: Heard[] = [];
  #reading = false;
  #readAgain = false;
  #begun = false;
  #lastNote = '';

  constructor(
    private readonly link: RedisLink,
    private readonly options: WatchOptions,
  ) {}

  /**
   * Until the signal ends it, however often the connection breaks.
   *
   * @throws what Redis said to who may not come in.
   */
  async run(): Promise<void> {
    const { client, target } = this.link;
    const { signal } = this.options;
    const refusal = new AbortController();
    const onError = (error: Error): void => {
      const cause = describeCause(error);
      if (REFUSED.test(cause)) {
        return refusal.abort(refusedError(target.where, cause));
      }
      this.#note(`${target.where}: ${cause}; trying again`);
    };
    const subscription = new RedisSubscription(client, target, {
      onMessage: (payload) => this.#hear(hear(payload, false)),
      onSubscribed: () => {
        this.#note(`listening on ${target.channel} at ${target.where}`);
        void this.#catchUp();
      },
      onLost: (cause) =>
        this.#note(
          `the connection was lost${cause ? `: ${describeCause(cause)}` : ''}; trying again`,
        ),
      onError,
    });
    client.on('error', onError);
    client.on('ready', () => subscription.hasten());
    const letEnd = keepOpen(client);
    // A link that swallows every byte never says that it is dead.
    const heartbeat = setInterval(() => {
      this.link
        .within('a PING', subscription.ping())
        .catch(() => subscription.reconnect());
    }, PING_MS);
    try {
      client.connect().catch(() => undefined);
      subscription.open();
      await Promise.race([aborted(refusal.signal), aborted(signal)]);
    } finally {
      clearInterval(heartbeat);
      letEnd();
      subscription.close();
    }
    refusal.signal.throwIfAborted();
  }

  #hear(heard: Heard): void {
    const { offset = null, previous = null } = heard.message ?? {};
    if (offset === null) return this.#show(heard);
    if (this.#reading) return this.#hold(heard);
    if (this.#isShown(offset)) return;
    if (this.#position !== null && previous !== this.#position) {
      this.#hold(heard);
      return void this.#catchUp();
    }
    this.#replayed.clear();
    this.#position = offset;
    this.#show(heard);
  }

  #hold(heard: Heard): void {
    // They are in the journal, which is read again then.
    if (this.#held.push(heard) <= HELD_LIMIT) return;
    this.#held = [];
    this.#readAgain = true;
  }

  #isShown(offset: string): boolean {
    return offset === this.#position || this.#replayed.has(offset);
  }

  async #catchUp(): Promise<void> {
    this.#readAgain = true;
    if (this.#reading) return;
    this.#reading = true;
    while (this.#readAgain) {
      this.#readAgain = false;
      try {
        await this.#whenReady();
        await this.#read();
      } catch (error) {
        this.#failed(error as Error);
      }
    }
    this.#reading = false;
    this.#release();
  }

  /** The journal has been read: what is not of its chain is shown all the same. */
  #release(): void {
    for (const heard of this.#held) {
      const offset = heard.message!.offset!;
      if (this.#isShown(offset)) continue;
      this.#position = offset;
      this.#show(heard);
    }
    this.#held = [];
  }

  async #read(): Promise<void> {
    const { journal } = this.link;
    if (this.#position === null) {
      const begin = this.#begun ? null : await this.options.begin?.(this.link);
      this.#begun = true;
      if (begin) await this.#readFrom(begin);
      this.#position ??= await this.#answer(journal.tail());
      return;
    }
    await this.#readFrom(this.#position);
  }

  async #readFrom(start: string): Promise<void> {
    let from = start;
    let unbroken = true;
    for (;;) {
      const entries = await this.#answer(this.link.journal.read(from, PAGE));
      for (const { offset, payload } of entries) {
        if (offset === this.#position) continue;
        const heard = hear(payload, true);
        const { previous } = heard.message ?? {};
        unbroken &&= this.#position === null || previous === this.#position;
        this.#position = offset;
        this.#replay(offset, heard);
      }
      const last = entries.at(-1)?.offset;
      if (last === undefined && this.#position !== null) {
        unbroken &&= from === JOURNAL_START;
      }
      if (last === undefined || entries.length < PAGE) break;
      from = last;
    }
    if (unbroken) return;
    this.#note('something was missed that the journal does not hold');
    this.#position = null;
  }

  #replay(offset: string, heard: Heard): void {
    this.#replayed.add(offset);
    if (this.#replayed.size > HELD_LIMIT) {
      const [oldest = ''] = this.#replayed;
      this.#replayed.delete(oldest);
    }
    this.#show(heard);
  }

  #failed(error: Error): void {
    if (error instanceof InvalidationTimeoutError) {
      this.link.client.disconnect(true);
    }
    this.#position = null;
    this.#note(
      `the journal could not be read, so what was missed is not known: ${describeCause(error)}`,
    );
  }

  /** Rejects if it takes too long. */
  async #whenReady(): Promise<void> {
    const { client } = this.link;
    if (client.status === 'ready') return;
    const ready = new Promise<void>((resolve) =>
      client.once('ready', () => resolve()),
    );
    await this.#answer(ready);
  }

  #answer<T>(answer: Promise<T>): Promise<T> {
    return this.link.within('a reading of the journal', answer);
  }

  #show(heard: Heard): void {
    if (!this.options.signal.aborted) this.options.onHeard(heard);
  }

  /** Not again and again, however often it is tried. */
  #note(note: string): void {
    if (this.options.signal.aborted || note === this.#lastNote) return;
    this.#lastNote = note;
    this.options.onNote(visible(note, 500));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function refusedError(where: string, cause: string): InvalidationRedisError {
  return new InvalidationRedisError(
    `Redis at ${where} refuses: ${cause}.`,
    'Give user and password in REDIS_URL or --url; "doctor" says which rights are needed.',
  );
}
