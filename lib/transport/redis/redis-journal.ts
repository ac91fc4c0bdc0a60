import type { Cluster, Redis } from 'ioredis';
import { JournalAheadError } from '../../errors/index.js';
import { JOURNAL_START } from '../../message/index.js';
import type { MessageSigner } from '../../signing/index.js';
import type { JournalEntry, Published } from '../invalidation.transport.js';
import { journalKey } from './journal-key.js';
import { AHEAD } from './journal.lua.js';
import { PUBLISH_SCRIPT, SEARCHED } from './publish.script.js';
import { ScriptCalls } from './script-calls.js';

/**
 * Number of copies of the publish script. Each publisher uses one copy, which is
 * most likely its own: the order of its calls depends on nobody else loading the
 * script, see `ScriptCalls`. Few enough to take little memory in Redis.
 */
const COPIES = 1_024;

/** @internal */
export interface RedisJournalOptions {
  readonly channel: string;
  readonly sharded: boolean;
  /** Entries that the journal keeps at the least. */
  readonly maxLength: number;
}

/**
 * The journal of a channel: a Redis Stream in the channel's hash slot, so that
 * one script can write both in a cluster.
 *
 * @internal
 */
export class RedisJournal {
  readonly key: string;
  readonly #calls: ScriptCalls;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly options: RedisJournalOptions,
    /** `null` where nothing is signed. */
    private readonly signer: MessageSigner | null = null,
  ) {
    this.key = journalKey(options.channel);
    const copy = `-- ${Math.floor(Math.random() * COPIES)}${PUBLISH_SCRIPT}`;
    this.#calls = new ScriptCalls(client, copy);
  }

  /** @param payloads messages, which end with their origin */
  async publish(
    payloads: readonly string[],
    triedSince: string | null,
    tried: number,
  ): Promise<Published[]> {
    const { channel, sharded, maxLength } = this.options;
    const signed =
      this.signer === null
        ? null
        : payloads.map((payload) => this.signer!.sign(payload));
    try {
      const replies = await this.#calls.call([
        1,
        this.key,
        sharded ? 'SPUBLISH' : 'PUBLISH',
        channel,
        maxLength,
        triedSince ?? '',
        tried,
        signed?.map(({ sealKey }) => sealKey).join('') ?? '',
        ...(signed?.map(({ payload }) => payload) ?? payloads),
      ]);
      const published = publishedFrom(replies as (string | number)[]);
      return await this.#withoutForged(payloads, published);
    } catch (error) {
      throw this.#refusal(error as Error);
    }
  }

  /** Gives up the publishes under way: their connection broke, or does not answer. */
  abandon(error: Error): void {
    this.#calls.abandon(error);
  }

  /**
   * Publishes again the payloads whose earlier try in the journal cannot be verified:
   * readers would not obey it.
   */
  async #withoutForged(
    payloads: readonly string[],
    published: Published[],
  ): Promise<Published[]> {
    const { signer } = this;
    if (signer === null) return published;
    for (const [index, { offset, receivers }] of published.entries()) {
      if (receivers !== null || offset === null) continue;
      const [found] = await this.read(offset, 1);
      if (found?.offset === offset && signer.verify(found.payload) === null) {
        continue;
      }
      const [again] = await this.publish([payloads[index]!], null, 0);
      published[index] = again!;
    }
    return published;
  }

  #refusal(error: Error): Error {
    const [text = '', searchedUpTo] = error.message.split(SEARCHED);
    if (text.startsWith(AHEAD)) {
      const searched = { searchedUpTo: null };
      return Object.assign(new JournalAheadError(this.key), searched);
    }
    // Redis refused before the script searched: searching again costs next to nothing.
    if (searchedUpTo === undefined) return error;
    error.message = text;
    return Object.assign(error, { searchedUpTo: searchedUpTo || null });
  }

  /** Entries in order, the one at `from` included. */
  async read(from: string, count: number): Promise<JournalEntry[]> {
    const entries = await this.client.xrange(
      this.key,
      from,
      '+',
      'COUNT',
      count,
    );
    return entries.map(([offset, [, payload = '']]) => ({ offset, payload }));
  }

  /** The offset of the last entry; `0-0` if there is none. */
  async tail(): Promise<string> {
    const [last] = await this.client.xrevrange(this.key, '+', '-', 'COUNT', 1);
    return last?.[0] ?? JOURNAL_START;
  }
}

function publishedFrom(replies: readonly (string | number)[]): Published[] {
  const published: Published[] = [];
  for (let at = 0; at < replies.length; at += 2) {
    const receivers = Number(replies[at + 1]);
    published.push({
      offset: String(replies[at]),
      receivers: receivers < 0 ? null : receivers,
    });
  }
  return published;
}
