import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Line, Scrape } from '../support/scrape.js';

export const folder = join(import.meta.dirname, '../../docs/monitoring');

export const read = (name: string): string =>
  readFileSync(join(folder, name), 'utf8');

interface Dashboard {
  readonly templating: { readonly list: { name: string; query: unknown }[] };
  readonly panels: { title: string; targets?: { expr: string }[] }[];
}

/** Queries of the dashboard, by the title of the panel. */
export function dashboardQueries(): [title: string, query: string][] {
  const { panels } = JSON.parse(read('dashboard.json')) as Dashboard;
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }): [string, string] => [title, expr]),
  );
}

/** Queries for the choices of the dashboard's variables. */
export function variableQueries(): string[] {
  const { templating } = JSON.parse(read('dashboard.json')) as Dashboard;
  return templating.list
    .map(({ query }) => (query as { query?: string }).query)
    .filter((query) => query !== undefined);
}

/** Queries of the alerts, by name. */
export function alertQueries(): [name: string, query: string][] {
  const rules = read('alerts.yml').matchAll(
    /- alert: (\w+)[^]*?expr:(?: >-)?([^]*?)\n +for:/g,
  );
  return [...rules].map(([, name, query]) => [name!, query!.trim()]);
}

/** Labels of the scraped target, which Prometheus adds. */
const TARGET = ['instance', 'job'];

const SELECTOR = /(?<name>cache_invalidation_\w+)(?:\{(?<matchers>[^}]*)\})?/g;
const MATCHER = /(?<label>\w+)\s*(?:=~|!=|!~|=)\s*"(?<value>[^"]*)"/g;
const GROUPING = /\b(?:by|without|on|ignoring)\s*\((?<labels>[^)]*)\)/g;

/** Metrics, labels and label values of a query that are missing in a scrape. */
export function strangersIn(query: string, { lines }: Scrape): string[] {
  const labels = new Set(lines.flatMap((line) => Object.keys(line.labels)));
  const grouped = [...query.matchAll(GROUPING)]
    .flatMap((match) => match.groups!['labels']!.split(','))
    .map((label) => label.trim())
    .filter((label) => !labels.has(label) && !TARGET.includes(label));
  const selected = [...query.matchAll(SELECTOR)].flatMap((match) => {
    const { name = '', matchers = '' } = match.groups!;
    const series = lines.filter((line) => line.name === name);
    if (series.length === 0) return [name];
    return [...matchers.matchAll(MATCHER)].flatMap(({ groups }) =>
      unmatched(groups!['label']!, groups!['value']!, series),
    );
  });
  return [...grouped, ...selected];
}

function unmatched(label: string, value: string, series: Line[]): string[] {
  if (TARGET.includes(label)) return [];
  const values = new Set(series.map(({ labels }) => labels[label]));
  if (values.has(undefined)) return [label];
  // A variable of the dashboard may have any value.
  if (value.startsWith('$')) return [];
  return value.split('|').filter((alternative) => !values.has(alternative));
}

/** Metrics that a query uses, by the names of their series. */
export function namesIn(query: string): string[] {
  return [...query.matchAll(SELECTOR)].map(({ groups }) => groups!['name']!);
}
