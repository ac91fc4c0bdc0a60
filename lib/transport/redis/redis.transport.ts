import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../../cache-invalidation.constants.js';
import { InvalidationTimeoutError } from '../../errors/index.js';
import { JOURNAL_START } from '../../message/index.js';
import { MessageSigner, type SigningOptions } from '../../signing/index.js';
import {
  InvalidationTransport,
  type Introduction,
  type JournalEntry,
  type PublishReply,
  type RegionAddress,
  type TransportListener,
} from '../invalidation.transport.js';
import type { L2Store, L2StoreOptions } from '../l2.store.js';
import type { RelayRecord } from '../relay-record.js';
import { isActiveActive } from './active-active.js';
import { ConnectionNames } from './connection-names.js';
import { openCommands, openEntries } from './open-client.js';
import { RedisChannel } from './redis-channel.js';
import { ManagedRedis } from './redis-client.js';
import type { RedisConnection } from './redis-connection.js';
import { RedisJournal } from './redis-journal.js';
import { RedisL2Store } from './redis-l2.store.js';
import { RedisRelayRecord } from './redis-relay-record.js';
import { RedisSubscription } from './redis-subscription.js';
import { missingRights, type RightsNeeds } from './rights.script.js';
import { verifyEntries, verifyMessages } from '../verification.js';

/**
 * Milliseconds after which an unanswered command fails. Far beyond the time that a
 * caller waits: a slow Redis must be allowed to be slow.
 */
const UNANSWERED_MS = 10_000;

/** @internal */
export interface RedisTransportOptions extends RightsNeeds {
  readonly connection: RedisConnection;
  readonly journal: { readonly maxLength: number } | false;
  readonly maxMessageBytes: number;
  readonly signing?: SigningOptions | undefined;
}

/**
 * Redis Pub/Sub: one connection for commands, one for the subscription.
 *
 * @internal
 */
@Injectable()
export class RedisTransport extends InvalidationTransport {
  readonly #redis: ManagedRedis;
  readonly #names: ConnectionNames;
  readonly #journal: RedisJournal | null;
  readonly #channel: RedisChannel;
  /** `null` where nothing is signed. */
  readonly #signer: MessageSigner | null;
  #listener: TransportListener | null = null;
  #subscription: RedisSubscription | null = null;
  #closed = false;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: RedisTransportOptions,
  ) {
    super();
    const { connection, channel, journal, sharded, signing } = options;
    this.#redis = new ManagedRedis(openCommands(connection), {
      answerTimeout: UNANSWERED_MS,
      lateError: unansweredError,
      brokenError,
      // The heartbeat reconnects.
      reopenWhenLate: false,
      onReady: () => {
        this.#subscription?.hasten();
        this.#listener?.onWritable();
      },
      onLost: () => {
        if (this.#subscription === null) this.#listener?.onLost(null);
      },
      // The publish queue tries them again; they must not be sent later as well.
      onAbandoned: (error) => this.#journal?.abandon(error),
      onError: (cause) => this.#listener?.onError(cause),
    });
    const { client } = this.#redis;
    this.#names = new ConnectionNames(client, channel);
    this.#signer = MessageSigner.of(signing, channel);
    this.#channel = new RedisChannel(client, options, this.#signer);
    this.#journal =
      journal === false
        ? null
        : new RedisJournal(
            client,
            { ...journal, channel, sharded },
            this.#signer,
          );
  }

  get journaled(): boolean {
    return this.#journal !== null;
  }

  get writable(): boolean {
    return this.#redis.writable;
  }

  start(listener: TransportListener, subscribes = true): void {
    this.#listener = listener;
    this.#redis.open();
    if (!subscribes) return;
    this.#subscription = new RedisSubscription(
      this.#redis.client,
      this.options,
      this.#signer === null
        ? listener
        : verifyMessages(listener, this.#signer, this.options.maxMessageBytes),
      this.#names,
    );
    this.#subscription.open();
  }

  publish(
    payloads: readonly string[],
    triedSince: string | null = null,
    tried = triedSince === null ? 0 : payloads.length,
  ): Promise<PublishReply[]> {
    if (this.#closed) return Promise.resolve(payloads.map(closedError));
    const sent: Promise<PublishReply[]> =
      this.#journal?.publish(payloads, triedSince, tried) ??
      this.#channel.publish(payloads);
    return this.#redis
      .answered(sent)
      .catch((error: Error) => payloads.map(() => error));
  }

  async readJournal(from: string, count: number): Promise<JournalEntry[]> {
    if (this.#journal === null) return [];
    const reading = this.#journal.read(from, count);
    const entries = await this.#redis.answered(reading);
    return this.#signer === null
      ? entries
      : verifyEntries(entries, this.#signer);
  }

  async journalTail(): Promise<string> {
    if (this.#journal !== null) {
      return this.#redis.answered(this.#journal.tail());
    }
    await this.#redis.answered(this.#redis.client.ping());
    return JOURNAL_START;
  }

  async missingRights(): Promise<string[]> {
    if (this.#journal === null) return [];
    const { client } = this.#redis;
    return this.#redis.answered(
      missingRights(client, this.#journal.key, this.options),
    );
  }

  override isActiveActive(): Promise<boolean> {
    return this.#redis.answered(isActiveActive(this.#redis.client));
  }

  async ping(): Promise<void> {
    await this.#subscription?.ping();
  }

  reconnect(connection: 'commands' | 'subscription'): void {
    if (this.#closed) return;
    if (connection === 'commands') this.#redis.reopen();
    else this.#subscription?.reconnect();
  }

  override introduce(introduction: Introduction): void {
    if (!this.#closed) this.#names.introduce(introduction);
  }

  /** The journal is required. */
  relayRecord(source: string, id: string): RelayRecord {
    const { journal, channel, sharded } = this.options;
    const { maxLength } = journal as { readonly maxLength: number };
    return new RedisRelayRecord(
      this.#redis.client,
      { channel, sharded, maxLength },
      source,
      id,
      this.#signer,
      (answer) => this.#redis.answered(answer),
    );
  }

  ofRegion(_name: string, address: RegionAddress): InvalidationTransport {
    const { connection, channel } = this.options;
    return new RedisTransport({
      ...this.options,
      connection: address.connection ?? connection,
      channel: address.channel ?? channel,
      role: 'subscriber',
      // Nothing is relayed there.
      regions: undefined,
    });
  }

  l2Store({
    connection = this.options.connection,
    onError,
  }: L2StoreOptions): L2Store {
    return new RedisL2Store(openEntries(connection), onError);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#subscription?.close();
    this.#redis.close(closedError());
  }
}

function brokenError(): Error {
  return new Error('The connection broke.');
}

function closedError(): Error {
  return new Error('The transport was closed.');
}

function unansweredError(): Error {
  return new InvalidationTimeoutError(
    `Redis left a command unanswered for ${UNANSWERED_MS} ms.`,
    'It will be tried again.',
    UNANSWERED_MS,
  );
}
