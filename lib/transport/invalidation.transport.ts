import type { L2Store, L2StoreOptions } from './l2.store.js';

/** What a transport tells the instance that uses it. @internal */
export interface TransportListener {
  /** A payload arrived on the channel. */
  onMessage(payload: string): void;
  /** The broker has acknowledged the subscription: at first, and after a loss. */
  onSubscribed(): void;
  /** The subscription is gone until the next `onSubscribed`. */
  onLost(cause: Error | null): void;
  /** A publish would be answered now: at first, and after an outage. */
  onWritable(): void;
  /** Something is wrong that has no call to answer to. */
  onError(cause: Error): void;
}

/** The identity of an instance, for people who look after Redis. @internal */
export interface Introduction {
  readonly serviceName: string;
  /** The version of this package. */
  readonly version: string;
  readonly origin: string;
  /** Entity types that its caches and handlers are about; `null` for all. */
  readonly types: readonly string[] | null;
}

/** The broker has a payload. @internal */
export interface Published {
  /** Connections that it was handed to; `null` if it was announced earlier. */
  readonly receivers: number | null;
  /** Its place in the journal; `null` where none is kept. */
  readonly offset: string | null;
}

/** The broker has looked, and does not take it now. @internal */
export interface Refusal extends Error {
  /** Up to where in the journal none of the payloads is; `null` if one may be. */
  readonly searchedUpTo: string | null;
}

/** Or why it is not known to have reached the broker. @internal */
export type PublishReply = Published | Refusal | Error;

/** One entry of the journal. @internal */
export interface JournalEntry {
  readonly offset: string;
  readonly payload: string;
}

/**
 * How messages travel: a small port with one implementation over Redis and one
 * in memory. It moves text, in order, and reports; what the text means, what to
 * do about a loss and what to send again is decided by those who use it.
 *
 * @internal
 */
export abstract class InvalidationTransport {
  /** Whether a publish would be answered now, as far as is known. */
  abstract readonly writable: boolean;

  /** Whether a journal is kept beside the channel. */
  abstract readonly journaled: boolean;

  /**
   * Connects, subscribes, and keeps doing both until `close()`. Never throws
   * for a broker that is away: the listener hears when it is back.
   */
  abstract start(listener: TransportListener): void;

  /**
   * Sends payloads in one go, in order. Always settles and never rejects; the
   * reply at an index belongs to the payload there.
   *
   * @param triedSince where in the journal to look first whether a payload is
   * there already, from an earlier try; `null` for what was never tried
   * @param tried how many of the first that concerns; all unless told
   */
  abstract publish(
    payloads: readonly string[],
    triedSince?: string | null,
    tried?: number,
  ): Promise<PublishReply[]>;

  /**
   * Entries of the journal, in order, the one at `from` included.
   *
   * @param from an offset, or `-` for the first entry there is
   */
  abstract readJournal(from: string, count: number): Promise<JournalEntry[]>;

  /**
   * The offset of the last entry; `0-0` if there is none, or no journal: then it
   * only tells that commands are answered.
   */
  abstract journalTail(): Promise<string>;

  /**
   * Resolves when the subscription has answered, and so has handed over all
   * that was said before.
   */
  abstract ping(): Promise<void>;

  /** The connection does not answer: opens it anew. */
  abstract reconnect(connection: 'commands' | 'subscription'): void;

  /**
   * Rights that the broker's access control withholds, as it names them; empty
   * if none are missing, or if that cannot be told.
   */
  abstract missingRights(): Promise<string[]>;

  /** Makes this instance known to the broker, where it keeps such names. */
  introduce(_introduction: Introduction): void {}

  /** Where near caches share what they load; not connected yet. */
  abstract l2Store(options: L2StoreOptions): L2Store;

  /** Lets go of every socket and timer. The listener hears nothing after it. */
  abstract close(): Promise<void>;
}
