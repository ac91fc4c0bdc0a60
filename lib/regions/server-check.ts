import {
  InvalidationConfigurationError,
  type CacheInvalidationError,
} from '../errors/index.js';
import {
  ACTIVE_ACTIVE,
  ACTIVE_ACTIVE_ADVICE,
  type InvalidationTransport,
} from '../transport/index.js';

/**
 * Asks the Redis of a region once, as soon as it answers, for faults that no later try
 * can mend.
 *
 * @internal
 */
export class ServerCheck {
  #asked = false;

  constructor(
    private readonly region: string,
    private readonly transport: InvalidationTransport,
    private readonly report: (error: CacheInvalidationError) => void,
    /** Whether it is another region: the rights in its own are checked at the start. */
    private readonly isSource: boolean,
  ) {}

  async run(): Promise<void> {
    if (this.#asked || !this.transport.writable) return;
    this.#asked = true;
    try {
      await this.#ask();
    } catch {
      // The next call asks again.
      this.#asked = false;
    }
  }

  async #ask(): Promise<void> {
    const { region, transport } = this;
    const [isActiveActive, missing] = await Promise.all([
      transport.isActiveActive(),
      this.isSource ? transport.missingRights() : [],
    ]);
    if (isActiveActive) {
      this.report(
        new InvalidationConfigurationError(
          `The Redis of region ${region} cannot hold its journal: ${ACTIVE_ACTIVE}.`,
          [],
          ACTIVE_ACTIVE_ADVICE,
        ),
      );
    }
    if (missing.length > 0) {
      this.report(
        new InvalidationConfigurationError(
          `Region ${region} is not relayed: its user lacks ${missing.join(', ')}.`,
          [],
          'Grant it in the Redis of that region: "nestjs-cache-invalidation doctor --acl --role subscriber", with the URL and the channel of that region, prints the rule.',
        ),
      );
    }
  }
}
