import type { ControlClient } from './control-client.js';
import { InvalidationPostgresError } from './postgres.error.js';
import type { Publication } from './publication.js';
import { TableCatalog } from './table-catalog.js';
import type { TableMappings } from './table-mapping.js';

/**
 * Watches the definitions of the mapped tables: what changes them changes rows, too, and
 * the log does not tell which.
 *
 * @internal
 */
export class DefinitionWatch {
  #isChecking = false;

  constructor(
    private readonly control: ControlClient,
    private readonly tables: TableMappings,
    private readonly publication: Publication,
    private current: TableCatalog,
  ) {}

  get catalog(): TableCatalog {
    return this.current;
  }

  /**
   * @param onChanged told of the tables whose definitions differ now, and of their digest
   * @throws InvalidationPostgresError if changes of a table cannot be followed any more
   */
  async check(
    onChanged: (tables: readonly string[], digest: string) => void,
  ): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      const catalog = await TableCatalog.read(this.control, this.tables);
      const changed = catalog.changedSince(this.current);
      if (changed.length === 0) return;
      this.current = catalog;
      onChanged(changed, catalog.digest);
      if ((await this.publication.missing(this.control)) === null) return;
      throw new InvalidationPostgresError(
        'A mapped table is not published any more.',
        'The publication is completed, and all mapped types are invalidated.',
      );
    } finally {
      this.#isChecking = false;
    }
  }
}
