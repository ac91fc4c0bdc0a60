import { describeCause, InvalidationRedisError } from '../errors/index.js';
import { ConnectionNames, RedisSubscription } from '../transport/index.js';
import { VERSION } from '../publisher/index.js';
import { readMessage, type ReceivedMessage } from './received-message.js';
import { JournalFollower } from './journal-follower.js';
import type { RedisLink } from './redis-link.js';
import { visible } from './visible.js';

const PING_MS = 5_000;

/** Errors of Redis that another try would meet again. */
const REFUSED = /^(?:WRONGPASS|NOAUTH|NOPERM)/;

/** A watcher holds no caches, so it handles no entity type. */
const WATCHER = {
  serviceName: 'nestjs-cache-invalidation',
  version: VERSION,
  origin: 'command',
  types: [],
};

/** @internal */
export interface WatchOptions {
  /** The offset from which to show the journal, `null` for none; called once, when connected. */
  begin?(link: RedisLink): Promise<string | null>;
  onMessage(received: ReceivedMessage): void;
  /** Reports the state of the connection, and missed messages. */
  onNote(note: string): void;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/**
 * Shows the messages of a channel until it is aborted, across any number of lost
 * connections.
 *
 * @internal
 */
export class ChannelWatcher {
  readonly #follower: JournalFollower;
  #lastNote = '';
  /** Whether Redis has answered once: from then on an outage is waited out. */
  #answered = false;

  constructor(
    private readonly link: RedisLink,
    private readonly options: WatchOptions,
  ) {
    this.#follower = new JournalFollower(link, {
      begin: async () => (await options.begin?.(link)) ?? null,
      show: (received) => {
        if (!options.signal.aborted) options.onMessage(received);
      },
      note: (note) => this.#note(note),
    });
  }

  /**
   * @throws InvalidationRedisError if Redis refuses the user, or has never answered
   */
  async run(): Promise<void> {
    const { client, target } = this.link;
    const refusal = new AbortController();
    const onError = (error: Error): void => {
      const cause = describeCause(error);
      if (REFUSED.test(cause)) refusal.abort(refusedError(target.where, cause));
      else if (this.#answered) {
        this.#note(`${target.where}: ${cause}; trying again`);
      }
    };
    const subscription = this.#subscription(onError);
    client.on('error', onError);
    client.on('ready', () => subscription.hasten());
    // A link that swallows every byte reports no error.
    const heartbeat = setInterval(() => {
      this.link
        .waitFor('a PING', subscription.ping())
        .catch(() => subscription.reconnect());
    }, PING_MS);
    try {
      const { signal } = this.options;
      const end = Promise.race([aborted(refusal.signal), aborted(signal)]);
      const reached = this.#reach().then(() => subscription.open());
      await Promise.race([reached, end]);
      await end;
    } catch (error) {
      refusal.signal.throwIfAborted();
      throw error;
    } finally {
      clearInterval(heartbeat);
      subscription.close();
    }
    refusal.signal.throwIfAborted();
  }

  /** Connects, unless `doctor` has done so before. */
  async #reach(): Promise<void> {
    if (this.link.client.status === 'wait') await this.link.connect();
    this.#answered = true;
  }

  #subscription(onError: (error: Error) => void): RedisSubscription {
    const { client, target } = this.link;
    const names = new ConnectionNames(client, target.channel);
    names.introduce(WATCHER);
    const listener = {
      onMessage: (payload: string) =>
        this.#follower.receive(readMessage(payload, false, this.link.signer)),
      onSubscribed: () => {
        this.#note(`listening on ${target.channel} at ${target.where}`);
        void this.#follower.catchUp();
      },
      onLost: (cause: Error | null) => {
        const why = cause === null ? '' : `: ${describeCause(cause)}`;
        this.#note(`the connection was lost${why}; trying again`);
      },
      onError,
    };
    return new RedisSubscription(client, target, listener, names);
  }

  /** Reports a note once, not at each try to connect. */
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
