import { quoteIdentifier } from '../../common/index.js';
import type { ControlClient } from './control-client.js';
import { InvalidationPostgresError } from '../postgres.error.js';

const NO_RIGHTS = '42501';
/** The first version that publishes partitions under the name of their root. */
const VIA_ROOT = 130_000;

interface PublicationRow {
  readonly puballtables: boolean;
  readonly is_whole: boolean;
  readonly pubviaroot?: boolean;
}

interface PublishedTable {
  readonly name: string;
  readonly is_filtered: boolean;
}

/** Partitions among tables, with roots of theirs among others. */
const PARTS = `
select n.nspname || '.' || c.relname as name, rn.nspname || '.' || r.relname as root
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral pg_partition_ancestors(c.oid) a (oid)
join pg_class r on r.oid = a.oid join pg_namespace rn on rn.oid = r.relnamespace
where c.relispartition and r.oid <> c.oid
  and n.nspname || '.' || c.relname = any ($1) and rn.nspname || '.' || r.relname = any ($2)`;

/** The publication of the mapped tables. @internal */
export class Publication {
  constructor(
    readonly name: string,
    private readonly tables: readonly string[],
  ) {}

  /**
   * @returns the command that completes the publication; `null` if it is complete
   * @throws InvalidationPostgresError if it is there, and hides changes
   */
  async missing(client: ControlClient): Promise<string | null> {
    const rows = await client.query<{ found: PublicationRow }>(
      `select to_jsonb(p) || jsonb_build_object('is_whole',
         p.pubinsert and p.pubupdate and p.pubdelete and p.pubtruncate) as found
       from pg_publication p where pubname = $1`,
      [this.name],
    );
    const found = rows[0]?.found;
    const published = await this.#published(client);
    await this.#refuseParts(client, published);
    if (found === undefined) return this.#create(client);
    if (!found.is_whole || found.pubviaroot === false) {
      throw new InvalidationPostgresError(
        `The publication ${this.name} hides some kinds of changes.`,
        "ALTER PUBLICATION … SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true).",
      );
    }
    const filtered = published.find(
      ({ name, is_filtered }) => is_filtered && this.tables.includes(name),
    );
    if (filtered !== undefined) {
      throw new InvalidationPostgresError(
        `The publication ${this.name} hides some rows of ${filtered.name}.`,
        'Publish the table without a WHERE, or give the option publication another name.',
      );
    }
    const names = new Set(published.map(({ name }) => name));
    const absent = this.tables.filter((table) => !names.has(table));
    return absent.length === 0
      ? null
      : `ALTER PUBLICATION ${quoteIdentifier(this.name)} ADD TABLE ${listOf(absent)}`;
  }

  /**
   * Runs such a command.
   *
   * @throws InvalidationPostgresError with the command if the user lacks the rights
   */
  async complete(client: ControlClient, command: string): Promise<void> {
    try {
      await client.query(command);
    } catch (error) {
      if ((error as { code?: unknown }).code !== NO_RIGHTS) throw error;
      throw new InvalidationPostgresError(
        `The user may not publish the mapped tables.`,
        `Run once as their owner: ${command}`,
        error,
      );
    }
  }

  /** Changes of a partition are published as those of its root, if that is published. */
  async #refuseParts(
    client: ControlClient,
    published: readonly PublishedTable[],
  ): Promise<void> {
    const roots = [...this.tables, ...published.map(({ name }) => name)];
    const [part] = await client.query<{ name: string; root: string }>(PARTS, [
      this.tables,
      roots,
    ]);
    if (part === undefined) return;
    throw new InvalidationPostgresError(
      `Table ${part.name} is a partition of ${part.root}, whose name its changes are published under.`,
      'Map the root only, or leave it out of the publication.',
    );
  }

  async #create(client: ControlClient): Promise<string> {
    const rows = await client.query<{ version: number }>(
      "select current_setting('server_version_num')::int as version",
    );
    const canViaRoot = (rows[0]?.version ?? 0) >= VIA_ROOT;
    const options = canViaRoot
      ? ' WITH (publish_via_partition_root = true)'
      : '';
    return `CREATE PUBLICATION ${quoteIdentifier(this.name)} FOR TABLE ${listOf(this.tables)}${options}`;
  }

  async #published(client: ControlClient): Promise<PublishedTable[]> {
    const rows = await client.query<PublishedTable>(
      `select schemaname || '.' || tablename as name,
         to_jsonb(t) ->> 'rowfilter' is not null as is_filtered
       from pg_publication_tables t where pubname = $1`,
      [this.name],
    );
    return rows;
  }
}

function listOf(tables: readonly string[]): string {
  return tables
    .map((table) => {
      const dot = table.indexOf('.');
      const parts = [table.slice(0, dot), table.slice(dot + 1)];
      return parts.map((part) => quoteIdentifier(part)).join('.');
    })
    .join(', ');
}
