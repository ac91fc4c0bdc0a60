import { Inject, Injectable } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';
import { CACHE_INVALIDATION_OPTIONS } from '../../cache-invalidation.constants.js';
import { InvalidationTimeoutError } from '../../errors/index.js';
import { JOURNAL_START } from '../../message/index.js';
import {
  InvalidationTransport,
  type Introduction,
  type JournalEntry,
  type PublishReply,
  type TransportListener,
} from '../invalidation.transport.js';
import type { L2Store, L2StoreOptions } from '../l2.store.js';
import { ConnectionNames } from './connection.names.js';
import {
  hasNodes,
  keepOpen,
  openCommands,
  openEntries,
  publishingNode,
  refreshNodes,
  reopen,
  withoutCommand,
  type RedisConnection,
} from './redis.connection.js';
import { RedisJournal } from './redis.journal.js';
import { RedisL2Store } from './redis.l2.store.js';
import { RedisSubscription } from './redis.subscription.js';

/**
 * How long a command may stay unanswered (at most twice that) before it counts
 * as failed. Far beyond what a caller waits: a slow Redis must be allowed to be
 * slow. ioredis can leave a promise unsettled for ever.
 */
const UNANSWERED_MS = 10_000;

/** @internal */
export interface RedisTransportOptions {
  readonly connection: RedisConnection;
  readonly channel: string;
  readonly journal: { readonly maxLength: number } | false;
  readonly sharded: boolean;
}

/**
 * Redis Pub/Sub: one connection for commands, one for the subscription.
 *
 * @internal
 */
@Injectable()
export class RedisTransport extends InvalidationTransport {
  readonly #client: Redis | Cluster;
  readonly #letEnd: () => void;
  readonly #names: ConnectionNames;
  readonly #journal: RedisJournal | null;
  /** What fails each, and since when it waits. */
  readonly #unanswered = new Map<(error: Error) => void, number>();
  #sweeper: NodeJS.Timeout | null = null;
  #subscription: RedisSubscription | null = null;
  #closed = false;
  /** It is being disconnected, and calls itself ready until that is done. */
  #leaving = false;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: RedisTransportOptions,
  ) {
    super();
    const { connection, channel, journal, sharded } = options;
    this.#client = openCommands(connection);
    this.#letEnd = keepOpen(this.#client);
    this.#names = new ConnectionNames(this.#client, channel);
    this.#journal =
      journal === false
        ? null
        : new RedisJournal(this.#client, channel, { ...journal, sharded });
  }

  get journaled(): boolean {
    return this.#journal !== null;
  }

  get writable(): boolean {
    return !this.#closed && !this.#leaving && this.#client.status === 'ready';
  }

  start(listener: TransportListener): void {
    this.#listen(listener);
    // Its errors are told by its 'error' event.
    this.#client.connect().catch(() => undefined);
    this.#subscription = new RedisSubscription(
      this.#client,
      this.options,
      listener,
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
    return this.#answered(this.#send(payloads, triedSince, tried)).catch(
      (error: Error) => payloads.map(() => error),
    );
  }

  async readJournal(from: string, count: number): Promise<JournalEntry[]> {
    if (this.#journal === null) return [];
    return this.#answered(this.#learning(this.#journal.read(from, count)));
  }

  async journalTail(): Promise<string> {
    if (this.#journal !== null) {
      return this.#answered(this.#learning(this.#journal.tail()));
    }
    await this.#answered(this.#client.ping());
    return JOURNAL_START;
  }

  async missingRights(): Promise<string[]> {
    if (this.#journal === null) return [];
    return this.#answered(this.#journal.missingRights());
  }

  async ping(): Promise<void> {
    await this.#subscription?.ping();
  }

  reconnect(connection: 'commands' | 'subscription'): void {
    if (this.#closed) return;
    if (connection === 'subscription') return this.#subscription?.reconnect();
    if (reopen(this.#client)) this.#leaving = true;
  }

  override introduce(introduction: Introduction): void {
    if (!this.#closed) this.#names.introduce(introduction);
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
    this.#giveUp(closedError());
    if (this.#sweeper !== null) clearTimeout(this.#sweeper);
    this.#letEnd();
    this.#client.disconnect();
  }

  #listen(listener: TransportListener): void {
    const left = (): void => {
      this.#leaving = false;
      // What ioredis was told not to resend it does not fail either.
      this.#giveUp(new Error('The connection broke.'));
    };
    this.#client.on('close', left);
    // Without a 'close' where there was no socket yet.
    this.#client.on('end', left);
    this.#client.on('ready', () => {
      this.#leaving = false;
      if (this.#closed) return;
      this.#subscription?.hasten();
      listener.onWritable();
    });
    // Also of a closed one: an 'error' that nobody hears is printed by ioredis.
    this.#client.on('error', (cause: Error) => {
      if (!this.#closed) listener.onError(withoutCommand(cause));
    });
  }

  #send(
    payloads: readonly string[],
    triedSince: string | null,
    tried: number,
  ): Promise<PublishReply[]> {
    return this.#learning(
      this.#journal?.publish(payloads, triedSince, tried) ??
        this.#announce(payloads),
    );
  }

  async #learning<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      this.#learn(error as Error);
      throw error;
    }
  }

  /** Some refusals say that the connection leads to the wrong server by now. */
  #learn({ message }: Error): void {
    refreshNodes(this.#client);
    if (message.includes('READONLY') || !hasNodes(this.#client)) {
      this.reconnect('commands');
    }
  }

  /** Without a journal. */
  async #announce(payloads: readonly string[]): Promise<PublishReply[]> {
    const { channel, sharded } = this.options;
    const node = sharded ? this.#client : publishingNode(this.#client);
    if (node === null) throw new Error('No master node.');
    const publish = sharded ? 'spublish' : 'publish';
    const [first] = payloads;
    if (payloads.length === 1 && first !== undefined) {
      return [published(await node[publish](channel, first))];
    }
    const pipeline = node.pipeline();
    for (const payload of payloads) pipeline[publish](channel, payload);
    const results = (await pipeline.exec()) ?? [];
    return results.map(([error, receivers]) =>
      error === null ? published(receivers) : withoutCommand(error),
    );
  }

  /** Settles in any case: ioredis may leave what it sent unsettled. */
  #answered<T>(sent: Promise<T>): Promise<T> {
    if (this.#closed) return sent;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        this.#unanswered.delete(fail);
        reject(withoutCommand(error));
      };
      this.#unanswered.set(fail, performance.now());
      this.#sweeper ??= setTimeout(() => this.#sweep(), UNANSWERED_MS).unref();
      sent.then((answer) => {
        this.#unanswered.delete(fail);
        resolve(answer);
      }, fail);
    });
  }

  #giveUp(error: Error): void {
    this.#journal?.abandon(error);
    this.#failUnanswered(error);
  }

  #failUnanswered(error: Error): void {
    for (const fail of this.#unanswered.keys()) fail(error);
  }

  /** One timer for all, and not one for each: they are rarely needed. */
  #sweep(): void {
    this.#sweeper = null;
    const overdue = performance.now() - UNANSWERED_MS;
    for (const [fail, since] of this.#unanswered) {
      if (since > overdue) continue;
      // Nor may it be sent later: it counts as failed, and is tried again.
      this.#journal?.abandon(unansweredError());
      fail(unansweredError());
    }
    if (this.#unanswered.size > 0) {
      this.#sweeper = setTimeout(() => this.#sweep(), UNANSWERED_MS).unref();
    }
  }
}

// A client of the application's may have been told to answer numbers as text.
function published(receivers: unknown): PublishReply {
  return { receivers: Number(receivers), offset: null };
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
