import type { UnverifiedReason } from '../signing/index.js';
import type { L2Store, L2StoreOptions } from './l2.store.js';
import type { RedisConnection } from './redis/redis-connection.js';
import type { RelayRecord } from './relay-record.js';

/** Callbacks of a transport. @internal */
export interface TransportListener {
  /** A payload arrived on the channel. */
  onMessage(payload: string): void;
  /**
   * A payload arrived that is not to be obeyed.
   *
   * @param placed whether it claims a place in the journal
   */
  onUnverified(reason: UnverifiedReason, placed: boolean): void;
  /** The broker has acknowledged the subscription, at first or after a loss. */
  onSubscribed(): void;
  /**
   * The subscription is lost until the next `onSubscribed`. Without a subscription: a
   * connection for commands is lost, and another one may lead to another server.
   */
  onLost(cause: Error | null): void;
  /** The broker takes publishes now, at first or after an outage. */
  onWritable(): void;
  /** An error that belongs to no call. */
  onError(cause: Error): void;
}

/** An instance's identity, for people who operate Redis. @internal */
export interface Introduction {
  readonly serviceName: string;
  /** The version of this package. */
  readonly version: string;
  readonly origin: string;
  /** Entity types of its caches and handlers; `null` for all. */
  readonly types: readonly string[] | null;
}

/** The reply for a payload that the broker has. @internal */
export interface Published {
  /** Connections that received it; `null` if an earlier try had published it. */
  readonly receivers: number | null;
  /** Offset in the journal; `null` without a journal. */
  readonly offset: string | null;
}

/** The reply for a payload that the broker does not take now. @internal */
export interface Refusal extends Error {
  /** No payload of the call is in the journal up to this offset; `null` if one may be. */
  readonly searchedUpTo: string | null;
}

/** An `Error` means that nobody knows whether the broker has the payload. @internal */
export type PublishReply = Published | Refusal | Error;

/** One entry of the journal. @internal */
export interface JournalEntry {
  readonly offset: string;
  /** Empty if it could not be verified. */
  readonly payload: string;
  /** Why it could not be verified. */
  readonly unverified?: UnverifiedReason;
}

/** The broker of another region. @internal */
export interface RegionAddress {
  readonly connection?: RedisConnection;
  /** Absent if it has the same channel. */
  readonly channel?: string;
}

/**
 * Port that moves messages as text, in order, and reports losses; implemented over
 * Redis and in memory. Its users decode the text, and decide what to do about a
 * loss and what to publish again.
 *
 * @internal
 */
export abstract class InvalidationTransport {
  /** Whether the broker takes publishes now, as far as is known. */
  abstract readonly writable: boolean;

  /** Whether a journal is kept beside the channel. */
  abstract readonly journaled: boolean;

  /**
   * Connects and subscribes, again after each loss, until `close()`. Does not throw
   * while the broker is away; `onSubscribed` reports its return.
   *
   * @param subscribes whether a subscription is opened; true by default
   */
  abstract start(listener: TransportListener, subscribes?: boolean): void;

  /**
   * Publishes payloads in order, in one call. Always settles and never rejects;
   * each reply has the index of its payload.
   *
   * @param triedSince offset from which to search the journal for payloads that an
   * earlier try has published; `null` if none was tried
   * @param tried the number of payloads, the first ones, that were tried; all by
   * default
   */
  abstract publish(
    payloads: readonly string[],
    triedSince?: string | null,
    tried?: number,
  ): Promise<PublishReply[]>;

  /**
   * Entries of the journal in order, the one at `from` included.
   *
   * @param from an offset, or `-` for the first entry
   */
  abstract readJournal(from: string, count: number): Promise<JournalEntry[]>;

  /**
   * The offset of the last entry; `0-0` if there is none. Without a journal it is
   * `0-0` too, and only proves that the broker answers commands.
   */
  abstract journalTail(): Promise<string>;

  /**
   * Resolves once the subscription has answered: messages that the broker sent
   * before its answer have been delivered by then.
   */
  abstract ping(): Promise<void>;

  /** Opens a new connection in place of one that does not answer. */
  abstract reconnect(connection: 'commands' | 'subscription'): void;

  /**
   * Rights that the broker's access control withholds, by the broker's names; empty
   * if none is missing, or if the broker cannot say.
   */
  abstract missingRights(): Promise<string[]>;

  /** Whether the broker merges the journals of several writers, so that none has one order. */
  async isActiveActive(): Promise<boolean> {
    return false;
  }

  /** Names this instance's connections, if the broker keeps names. */
  introduce(_introduction: Introduction): void {}

  /**
   * The record of the relay of a source.
   *
   * @param id of the relay that uses it
   */
  abstract relayRecord(source: string, id: string): RelayRecord;

  /** Another region's broker, to be read only; not started yet. */
  abstract ofRegion(
    name: string,
    address: RegionAddress,
  ): InvalidationTransport;

  /** The second tier of near caches; not connected yet. */
  abstract l2Store(options: L2StoreOptions): L2Store;

  /** Closes every socket and timer. No callback is called afterwards. */
  abstract close(): Promise<void>;
}
