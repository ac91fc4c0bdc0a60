import { visible } from '../visible.js';
import { fail, ok, together, unknown, warn, type Finding } from './finding.js';
import type { PostgresView, TableFacts } from './postgres-view.js';

const IDENTITIES: Readonly<Record<string, string>> = {
  d: 'primary key',
  f: 'full row',
  i: 'index',
  n: 'nothing',
};

/** Judges whether the publication shows every change of the mapped tables. @internal */
export async function checkPublication(view: PostgresView): Promise<Finding> {
  const { publication: name } = view.names;
  const found = await view.publication();
  if (found === null) {
    return incomplete(
      view,
      `there is none of the name ${name}`,
      view.names.tables,
    );
  }
  if (!found.is_whole || found.pubviaroot === false) {
    return fail(
      `${name} hides some kinds of changes`,
      `ALTER PUBLICATION ${name} SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)`,
    );
  }
  const mapped = view.names.tables;
  const published = found.tables.map((table) => table.name);
  const filtered = found.tables
    .filter((table) => table.filtered)
    .map((table) => table.name)
    .filter((table) => mapped.length === 0 || mapped.includes(table));
  if (filtered.length > 0) {
    return fail(
      `${name} hides some rows of ${listOf(filtered)}`,
      'Publish them without a WHERE.',
    );
  }
  const absent = mapped.filter((table) => !published.includes(table));
  if (absent.length > 0) {
    return incomplete(view, `${name} lacks ${listOf(absent)}`, absent);
  }
  return mapped.length === 0
    ? ok(`${name} has ${listOf(published) || 'no table'}; --tables compares it`)
    : ok(`${name} has all mapped tables`);
}

/** Services complete a publication if their user may. */
async function incomplete(
  view: PostgresView,
  message: string,
  tables: readonly string[],
): Promise<Finding> {
  if (tables.length === 0) {
    return warn(
      message,
      'Give --tables, to see whether services may create it.',
    );
  }
  const { may_create, user } = await view.server();
  const facts = await view.tables();
  const mayComplete =
    may_create &&
    facts.every(({ name, is_own }) => !tables.includes(name) || is_own);
  return mayComplete
    ? warn(message, 'The next instance that takes the slot completes it.')
    : fail(
        `${message}, and user ${visible(user, 70)} may not add it`,
        'Run as the owner of the tables what postgres sql --tables prints.',
      );
}

/** Judges whether the log says which rows of the mapped tables change. @internal */
export async function checkTables(view: PostgresView): Promise<Finding> {
  const facts = await view.tables();
  if (facts.length === 0) return unknown('give --tables to check them');
  const good = `the log names the rows of ${facts.length === 1 ? 'the mapped table' : `all ${facts.length} mapped tables`}`;
  const details = facts.map((table) => ({
    table: table.name,
    identity: identityOf(table),
  }));
  return { ...together(facts.map(judge), good), details };
}

function identityOf({ kind, identity, has_key }: TableFacts): string {
  if (kind === null) return 'no such table';
  return identity === 'd' && !has_key
    ? 'none: no primary key'
    : (IDENTITIES[identity] ?? identity);
}

function judge(table: TableFacts): Finding {
  const { kind, persistence, identity, has_key } = table;
  const name = visible(table.name);
  if (kind === null) {
    return fail(
      `there is no table ${name}`,
      'Create it, or correct its name in the option tables.',
    );
  }
  if (kind !== 'r' && kind !== 'p') {
    return fail(`${name} is no table`, 'Map the tables whose rows it shows.');
  }
  if (persistence !== 'p') {
    return fail(
      `${name} is unlogged or temporary: the log does not have its changes`,
      'ALTER TABLE … SET LOGGED.',
    );
  }
  if (table.root !== null) {
    return fail(
      `${name} is a partition of ${visible(table.root)}, whose name its changes are published under`,
      'Map the root only, or leave it out of the publication.',
    );
  }
  if (identity === 'n' || (identity === 'd' && !has_key)) {
    return fail(
      `${name} has no replica identity: once it is published, its updates and deletes fail`,
      'Give it a primary key, or ALTER TABLE … REPLICA IDENTITY FULL.',
    );
  }
  if (table.has_bare_partition) {
    return fail(
      `a partition of ${name} has no replica identity: its updates and deletes fail`,
      'Give each partition a primary key, or REPLICA IDENTITY FULL.',
    );
  }
  if (table.has_unlogged_partition) {
    return fail(
      `a partition of ${name} is unlogged: the log does not have its changes`,
      'ALTER TABLE … SET LOGGED.',
    );
  }
  if (table.has_children) {
    return fail(
      `${name} has tables that inherit from it, which are published by their own names`,
      'Map each of them, or use declarative partitions.',
    );
  }
  if (table.has_lesser_partition) {
    return warn(
      `a partition of ${name} logs less of old rows than its root: a mapping that reads more of them invalidates the types`,
      'Give each partition the replica identity of the root.',
    );
  }
  return ok(name);
}

function listOf(tables: readonly string[]): string {
  return tables.map((table) => visible(table)).join(', ');
}
