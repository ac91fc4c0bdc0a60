import type { Cluster, Redis } from 'ioredis';
import type { MessageSigner } from '../../signing/index.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
  RelayState,
} from '../relay-record.js';
import { journalKey } from './journal-key.js';
import type { RedisJournalOptions } from './redis-journal.js';
import {
  FOREIGN,
  NO_OFFSET,
  RESTART,
  withRelayCommands,
  type RelayCommands,
} from './relay.script.js';

/** Milliseconds that a proof is kept. */
const WEEK_MS = 604_800_000;

/** Settles whatever becomes of the connection. */
type Answered = <T>(answer: Promise<T>) => Promise<T>;

/**
 * The record of a relay in Redis: three keys in the hash slot of the channel. An age is
 * told by the time that a key has left, so that no two clocks are compared.
 *
 * @internal
 */
export class RedisRelayRecord implements RelayRecord {
  readonly #client: (Redis | Cluster) & RelayCommands;
  readonly #journal: string;
  readonly #record: string;
  readonly #holder: string;
  readonly #proof: string;
  /** Time of the server's clock, a moment before `performance.now()` said `at`. */
  #clock = { serverTime: 0, at: 0 };

  /** @param id of this relay */
  constructor(
    client: Redis | Cluster,
    private readonly options: RedisJournalOptions,
    source: string,
    private readonly id: string,
    private readonly signer: MessageSigner | null,
    private readonly answered: Answered,
  ) {
    this.#client = withRelayCommands(client);
    this.#journal = journalKey(options.channel);
    this.#record = relayKey(options.channel, source);
    this.#holder = `${this.#record}:holder`;
    this.#proof = `${this.#record}:proof`;
  }

  async read(): Promise<RelayState> {
    const [offset = null, restarts, foreign] = await this.answered(
      this.#client.hmget(this.#record, 'offset', 'restarts', 'foreign'),
    );
    return {
      place: { offset, restarts: Number(restarts ?? 0) },
      foreign: foreign === '1',
    };
  }

  async forward(
    { offset, restarts }: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null> {
    const { channel, sharded, maxLength } = this.options;
    const payloads = messages.map(({ payload }) => payload);
    const signed =
      this.signer && payloads.map((each) => this.signer!.sign(each));
    const done = this.#client.forwardMessages(
      this.#journal,
      this.#record,
      this.#holder,
      sharded ? 'SPUBLISH' : 'PUBLISH',
      channel,
      maxLength,
      `${offset ?? ''} ${restarts} ${to ?? ''} ${this.id}`,
      messages.map(placeOf).join(' '),
      signed?.map(({ sealKey }) => sealKey).join('') ?? '',
      ...(signed?.map(({ payload }) => payload) ?? payloads),
    );
    const restarted = Number(await this.answered(done));
    return restarted < 0 ? null : { offset: to, restarts: restarted };
  }

  async prove({ offset, restarts }: RelayPlace, age: number): Promise<boolean> {
    const { serverTime, at } = this.#clock;
    const provenAt = performance.now() - age;
    const done = this.#client.proveRelay(
      this.#record,
      this.#proof,
      offset ?? '',
      restarts,
      WEEK_MS,
      Math.ceil(age),
      Math.floor(serverTime + provenAt - at),
    );
    return this.#isTimed(Number(await this.answered(done)));
  }

  async proofAge(): Promise<number | null> {
    const left = await this.answered(this.#client.pttl(this.#proof));
    // More than a week: the server's clock was set back, and the age is not known.
    return left < 0 || left > WEEK_MS ? null : WEEK_MS - left;
  }

  async hold(ttl: number): Promise<boolean> {
    const held = this.#client.holdRelay(this.#holder, this.id, ttl);
    return this.#isTimed(Number(await this.answered(held)));
  }

  async release(): Promise<void> {
    await this.answered(this.#client.releaseRelay(this.#holder, this.id));
  }

  /** @param serverTime 0 if the server did nothing */
  #isTimed(serverTime: number): boolean {
    if (serverTime === 0) return false;
    this.#clock = { serverTime, at: performance.now() };
    return true;
  }
}

function placeOf({ kind, offset }: ForwardedMessage): string {
  if (kind === 'foreign') return FOREIGN;
  if (offset === null) return NO_OFFSET;
  return kind === 'restart' ? RESTART + offset : offset;
}

/** The key of a relay's record, in the hash slot of the channel. @internal */
export function relayKey(channel: string, source: string): string {
  return journalKey(channel).replace(/:journal$/, `:relay:${source}`);
}
