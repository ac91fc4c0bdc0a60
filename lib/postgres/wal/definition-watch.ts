import type { ControlClient } from './control-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';
import { TableCatalog } from './table-catalog.js';
import type { TableMappings } from '../mapping/table-mapping.js';

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
    private readonly publication: string,
    private current: TableCatalog,
  ) {}

  get catalog(): TableCatalog {
    return this.current;
  }

  /**
   * @param onChanged told of the tables whose definitions differ now, and of their digest
   * @returns `false` if another check is under way
   * @throws InvalidationPostgresError if changes of a table cannot be followed any more
   */
  async check(
    onChanged: (tables: readonly string[], digest: string) => void,
  ): Promise<boolean> {
    if (this.#isChecking) return false;
    this.#isChecking = true;
    try {
      const { control, tables, publication } = this;
      const catalog = await TableCatalog.read(control, tables, publication);
      // Transactions that wrote in between and are open yet may be hidden.
      if (!catalog.isPublishedAs(this.current)) {
        throw new InvalidationPostgresError(
          'The publication of the mapped tables has changed.',
          'It is completed, and all mapped types are invalidated.',
        );
      }
      const changed = catalog.changedSince(this.current);
      if (changed.length > 0) {
        this.current = catalog;
        onChanged(changed, catalog.digest);
      }
      return true;
    } finally {
      this.#isChecking = false;
    }
  }
}
