import type { InvalidationPublisher } from '../../publisher/index.js';
import type { TableMappings } from '../mapping/table-mapping.js';

/** Options of the capture of writes by an ORM. @publicApi */
export interface CaptureOptions {
  /** The injected publisher, which announces after each commit. */
  readonly publisher: InvalidationPublisher;
  /** Mappings by table, with schema, as of the PostgreSQL source: `'public.users'`. */
  readonly tables: TableMappings;
  /**
   * More keys of one type in one transaction are announced as the type.
   *
   * @default 1000
   */
  readonly bulk?: number;
}
