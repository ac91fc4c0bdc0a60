import { Logger } from '@nestjs/common';
import { describeCause } from '../../errors/index.js';
import { everything, type Invalidation } from '../../message/index.js';
import { outsideScopes } from '../../publisher/index.js';
import { widenTable } from '../table-mapper.js';
import type { CaptureOptions } from './capture.options.js';
import {
  CapturedConnection,
  type CatalogQuery,
  type SqlStatement,
} from './captured-connection.js';
import { CapturedWrites, type CapturedWrite } from './captured-writes.js';
import type { SqlCommand } from './sql-text.js';
import type { SqlToken } from './sql-tokens.js';

/**
 * Announces what the connections of one client of an ORM commit.
 *
 * @internal
 */
export class WriteCapture {
  readonly #logger = new Logger('CacheInvalidationCapture');

  /** @throws InvalidationConfigurationError for wrong options */
  constructor(private readonly options: CaptureOptions) {}

  /** @param query runs SQL on this connection, past the capture */
  connect(query: CatalogQuery): CapturedConnection {
    return new CapturedConnection(this, query);
  }

  /** Writes of a transaction that begins. */
  open(): CapturedWrites {
    return new CapturedWrites(this.options.bulk ?? 1_000);
  }

  /** Reads keys and columns of the mapped tables, once. */
  async learn(_query: CatalogQuery): Promise<void> {}

  writeOf(
    command: SqlCommand,
    _tokens: readonly SqlToken[],
    { text }: SqlStatement,
  ): CapturedWrite {
    const { tables } = this.options;
    const named = Object.keys(tables).filter(
      (table) =>
        command === 'hidden' ||
        text.toLowerCase().includes(table.split('.')[1]!.toLowerCase()),
    );
    return (_rows, changes) => {
      for (const table of named) widenTable(tables[table]!, changes);
    };
  }

  /** Never rejects: the writes are committed, and their caller must not be told otherwise. */
  async announce(ended: readonly CapturedWrites[]): Promise<void> {
    const invalidations = ended.flatMap((writes) => writes.invalidations());
    await outsideScopes(() =>
      Promise.all(invalidations.map((each) => this.#publish(each))),
    );
  }

  async #publish(invalidation: Invalidation): Promise<void> {
    const { publisher } = this.options;
    try {
      await publisher.publish(invalidation);
    } catch (error) {
      this.#logger.error(
        `A captured write could not be published, so everything is invalidated: ${describeCause(error as Error)}.`,
      );
      await publisher.publish(everything()).catch(() => null);
    }
  }
}
