import { describeCause, InvalidationRedisError } from '../errors/index.js';
import type { ErrorReporter } from '../stream/index.js';
import type { InvalidationTransport } from '../transport/index.js';
import { JournalReader } from './journal-reader.js';
import { isCancelled, isTimeout } from './redis-answers.js';

/**
 * Queries both connections for a heartbeat. A connection that does not answer in
 * time is opened anew.
 *
 * @internal
 */
export class ConnectionProbe {
  readonly #journal: JournalReader;
  /** When Redis ceased to be writable, or was last reconnected to. */
  #awaySince: number | null = null;

  constructor(
    private readonly options: { readonly heartbeatTimeout: number },
    private readonly transport: InvalidationTransport,
    private readonly receiver: { readonly arrived: number },
    private readonly errors: Pick<ErrorReporter, 'report'>,
  ) {
    this.#journal = new JournalReader(
      transport,
      options.heartbeatTimeout,
      'a heartbeat',
    );
  }

  /** @returns the end of the journal; `null` if there is no journal, or no answer */
  async tail(): Promise<string | null> {
    if (!this.transport.writable) {
      this.#hasten();
      return null;
    }
    this.#awaySince = null;
    try {
      return await this.#journal.tail();
    } catch (error) {
      if (isTimeout(error)) {
        this.errors.report(error);
        this.transport.reconnect('commands');
      } else if (this.transport.writable && !isCancelled(error)) {
        this.errors.report(
          new InvalidationRedisError(
            `The end of the journal could not be read: ${describeCause(error as Error)}.`,
            'Until it can, this instance is not known to be up to date.',
            error,
          ),
        );
      }
      return null;
    }
  }

  /** Whether the subscription answers. */
  async ping(): Promise<boolean> {
    const { arrived } = this.receiver;
    try {
      await this.#journal.ping();
      return true;
    } catch (error) {
      // A connection that delivers is alive, and only slow.
      if (isTimeout(error) && this.receiver.arrived === arrived) {
        this.errors.report(error);
        this.transport.reconnect('subscription');
      }
      return false;
    }
  }

  /** Whether the journal has an entry at this offset; `false` if it cannot be read. */
  async hasEntry(offset: string): Promise<boolean> {
    try {
      return await this.#journal.has(offset);
    } catch {
      // Catching up reads the journal again, and reports the error.
      return false;
    }
  }

  /** Rejects whatever is waited for: Redis takes commands again, or the end has come. */
  cancel(): void {
    this.#journal.cancel();
  }

  /** A connection that is being opened, which takes several answers, may hang. */
  #hasten(): void {
    const now = performance.now();
    this.#awaySince ??= now;
    if (now - this.#awaySince < 2 * this.options.heartbeatTimeout) return;
    this.#awaySince = now;
    this.transport.reconnect('commands');
  }
}
