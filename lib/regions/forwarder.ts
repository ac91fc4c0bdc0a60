import type { InvalidationMessage } from '../message/index.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
} from '../transport/index.js';
import {
  NOWHERE,
  type RelayedMessage,
  type RelayOutlet,
} from './relay-outlet.js';

/** Messages and characters that one call of the script carries. */
const BATCH = { messages: 500, size: 262_144 };
/** Characters that a waiting message takes besides its payload. */
const ITEM_SIZE = 200;

/** @internal */
export interface ForwarderListener {
  /** Messages are in the region's own journal now. */
  onForwarded(messages: readonly ForwardedMessage[]): void;
  /**
   * The queue is dropped: begin again at the record.
   *
   * @param error `null` if another relay has moved the record
   */
  onFailed(error: Error | null): void;
}

/** A message in the queue, or the time of a proof that follows those before it. */
type Item = ForwardedMessage | { readonly provenAt: number };

/**
 * Forwards the messages of a source into the region's own journal, in order, one call
 * at a time. A call carries whatever has come since the last one.
 *
 * @internal
 */
export class Forwarder implements RelayOutlet {
  #queue: Item[] = [];
  /** Characters of the messages in the queue. */
  #size = 0;
  /** The place of the record. */
  #from = NOWHERE;
  /** Offset to which the next call may move the record: messages up to it are not for this region. */
  #skippedTo: string | null = null;
  #sending = false;
  /** One more with each beginning: answers to earlier calls are ignored. */
  #epoch = 0;
  #roomy: (() => void)[] = [];

  constructor(
    private readonly record: RelayRecord,
    private readonly encode: (message: InvalidationMessage) => string,
    private readonly listener: ForwarderListener,
    /** Characters that may wait. */
    private readonly limit: number,
  ) {}

  begin(from: RelayPlace): void {
    this.#epoch++;
    this.#queue = [];
    this.#size = 0;
    this.#from = from;
    this.#skippedTo = null;
    this.#sending = false;
    this.#makeRoom();
  }

  push({ message, kind, offset }: RelayedMessage): boolean {
    if (this.#size > this.limit) return false;
    const payload = this.encode(message);
    this.#size += payload.length + ITEM_SIZE;
    this.#add({ payload, kind, offset });
    return true;
  }

  skip(offset: string): void {
    if (this.#queue.length === 0 && !this.#sending) this.#skippedTo = offset;
    else this.#add({ payload: '', kind: 'next', offset });
  }

  prove(asOf: number): void {
    this.#add({ provenAt: asOf });
  }

  async room(): Promise<void> {
    if (this.#size <= this.limit / 2) return;
    await new Promise<void>((resolve) => this.#roomy.push(resolve));
  }

  #add(item: Item): void {
    this.#queue.push(item);
    if (this.#sending) return;
    this.#sending = true;
    const epoch = this.#epoch;
    // All messages of one portion from the socket share a call.
    setImmediate(() => void this.#send(epoch));
  }

  async #send(epoch: number): Promise<void> {
    try {
      while (epoch === this.#epoch && this.#queue.length > 0) {
        const done = await this.#sendNext();
        if (epoch !== this.#epoch) return;
        if (!done) return this.listener.onFailed(null);
      }
    } catch (error) {
      if (epoch === this.#epoch) this.listener.onFailed(error as Error);
      return;
    }
    if (epoch === this.#epoch) this.#sending = false;
  }

  /** @returns whether the record was where this relay has left it */
  async #sendNext(): Promise<boolean> {
    const messages = this.#take();
    const proof = this.#queue[0];
    const real = messages.filter(({ payload }) => payload !== '');
    const to = this.#endOf(messages);
    const isProof = proof !== undefined && 'provenAt' in proof;
    // The record is moved past skipped messages only when something else is to be done.
    if (real.length > 0 || (isProof && to !== this.#from.offset)) {
      const epoch = this.#epoch;
      const place = await this.record.forward(this.#from, to, real);
      if (epoch !== this.#epoch) return true;
      if (place === null) return false;
      this.#from = place;
      this.#skippedTo = null;
      if (real.length > 0) this.listener.onForwarded(real);
    } else {
      this.#skippedTo = to;
    }
    if (this.#size <= this.limit / 2) this.#makeRoom();
    if (!isProof) return true;
    this.#queue.shift();
    if (this.#from.offset === null) return true;
    return this.record.prove(this.#from, performance.now() - proof.provenAt);
  }

  /** Messages for one call, up to the next proof. */
  #take(): ForwardedMessage[] {
    const messages: ForwardedMessage[] = [];
    let size = 0;
    for (const item of this.#queue) {
      if ('provenAt' in item) break;
      if (messages.length === BATCH.messages || size > BATCH.size) break;
      messages.push(item);
      size += item.payload.length;
      if (item.payload !== '') this.#size -= item.payload.length + ITEM_SIZE;
    }
    this.#queue.splice(0, messages.length);
    return messages;
  }

  #endOf(messages: readonly ForwardedMessage[]): string | null {
    const last = messages.findLast(({ offset }) => offset !== null);
    return last?.offset ?? this.#skippedTo ?? this.#from.offset;
  }

  #makeRoom(): void {
    const waiting = this.#roomy;
    this.#roomy = [];
    for (const resolve of waiting) resolve();
  }
}
