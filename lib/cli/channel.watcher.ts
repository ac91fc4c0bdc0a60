import { describeCause, InvalidationRedisError } from '../errors/index.js';
import { ConnectionNames, RedisSubscription } from '../transport/index.js';
import { VERSION } from '../publisher/index.js';
import { hear, type Heard } from './heard.js';
import { JournalFollower } from './journal.follower.js';
import type { RedisLink } from './redis.link.js';
import { visible } from './visible.js';

const PING_MS = 5_000;

/** Said by Redis to who may not come in: trying again is of no use. */
const REFUSED = /^(?:WRONGPASS|NOAUTH|NOPERM)/;

/** Nothing is evicted here: what a watcher hears is handled by nobody. */
const WATCHER = {
  serviceName: 'nestjs-cache-invalidation',
  version: VERSION,
  origin: 'command',
  types: [],
};

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
 * Shows what is said on a channel until it is told to end, however often the
 * connection breaks.
 *
 * @internal
 */
export class ChannelWatcher {
  readonly #follower: JournalFollower;
  #lastNote = '';
  /** Redis has answered once: from then on it is waited for. */
  #answered = false;

  constructor(
    private readonly link: RedisLink,
    private readonly options: WatchOptions,
  ) {
    this.#follower = new JournalFollower(link, {
      begin: async () => (await options.begin?.(link)) ?? null,
      show: (heard) => {
        if (!options.signal.aborted) options.onHeard(heard);
      },
      note: (note) => this.#note(note),
    });
  }

  /**
   * @throws InvalidationRedisError if Redis does not let it in, or has never
   * answered
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
    // A link that swallows every byte never says that it is dead.
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

  /** Doctor's link has been connected before. */
  async #reach(): Promise<void> {
    if (this.link.client.status === 'wait') await this.link.connect();
    this.#answered = true;
  }

  #subscription(onError: (error: Error) => void): RedisSubscription {
    const { client, target } = this.link;
    const names = new ConnectionNames(client, target.channel);
    names.introduce(WATCHER);
    const listener = {
      onMessage: (payload: string) => this.#follower.hear(hear(payload, false)),
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
