import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { CHANNELS } from '../../lib/observability/diagnostics-channels.js';
import {
  LATENCIES,
  METRICS,
} from '../../lib/observability/metric-definitions.js';
import type { RelayWidening } from '../../lib/regions/index.js';
import type { CountedWidening } from '../../lib/stream/index.js';
import { DOCUMENTED_RULES } from './acl.js';
import { root } from './markdown.js';

const TEXT = readFileSync(join(root, 'docs/operations.md'), 'utf8');

/** Cells of the tables under a heading, without their headers. */
function rowsUnder(heading: string): string[][] {
  const section = TEXT.split(/^## /m).find((part) =>
    part.startsWith(`${heading}\n`),
  );
  return [...section!.matchAll(/^\| `.*\|$/gm)].map(([row]) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const code = (text: string) => `\`${text}\``;

test('the operations page lists every metric, and no other, with its labels', () => {
  const metrics = METRICS.map(({ name, kind, unit, label }) => {
    const ending = kind === 'counter' ? '_total' : unit ? `_${unit}` : '';
    const labels = label === undefined ? [] : [label].flat();
    return [`cache_invalidation_${name}${ending}`, labels.map(code).join(', ')];
  });
  const latencies = LATENCIES.map(({ name }) => [
    `cache_invalidation_${name}_seconds`,
    '',
  ]);
  expect(rowsUnder('Metrics').map(([name, label]) => [name, label])).toEqual(
    [...metrics, ...latencies].map(([name = '', label]) => [code(name), label]),
  );
});

const CAUSES = {
  'not-understood': true,
  reconnected: true,
  missed: true,
  'started-late': true,
  stale: true,
  'new-connection': true,
  'handler-overflow': true,
  'outbox-overflow': true,
  'scope-overflow': true,
  cascade: true,
  unverified: true,
} satisfies Record<CountedWidening, true>;

test('the operations page lists every cause of widening', () => {
  const listed = rowsUnder('Why something was widened').map(([cause]) => cause);
  expect(new Set(listed)).toEqual(new Set(Object.keys(CAUSES).map(code)));
});

const RELAY_CAUSES = {
  'first-start': true,
  missed: true,
  reconnected: true,
  unreadable: true,
} satisfies Record<RelayWidening, true>;

test('the operations page lists every cause for which a relay widens', () => {
  const listed = rowsUnder('Why a relay widened').map(([cause]) => cause);
  expect(listed).toEqual(Object.keys(RELAY_CAUSES).map(code));
});

test('the operations page lists every diagnostics channel', () => {
  expect(rowsUnder('Diagnostics channels').map(([event]) => event)).toEqual(
    Object.keys(CHANNELS).map(code),
  );
});

const ALERTS = [
  'CacheInvalidationLatencyHigh',
  'CacheInvalidationPublishErrors',
  'CacheInvalidationProcessingErrors',
  'CacheInvalidationDisconnected',
  'CacheInvalidationStale',
  'CacheInvalidationOutboxGrowing',
  'CacheInvalidationWidening',
  'CacheInvalidationRegionBlind',
  'CacheInvalidationRelayAbsent',
  'CacheInvalidationSourceRetaining',
  'CacheInvalidationSourceAbsent',
  'CacheInvalidationSourceLagging',
];

test('the operations page has a runbook for each alert', () => {
  const headings = [...TEXT.matchAll(/^### (\S+)$/gm)].map(([, name]) => name);
  expect(headings).toEqual(ALERTS);
});

/** Texts of the library, with "…" for inserted values. */
function textsOfLibrary(): string[] {
  return ts.sys.readDirectory(join(root, 'lib'), ['.ts']).flatMap((file) => {
    const texts: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isStringLiteralLike(node)) texts.push(node.text);
      if (ts.isTemplateExpression(node)) {
        const { head, templateSpans } = node;
        texts.push(
          [head, ...templateSpans.map(({ literal }) => literal)]
            .map(({ text }) => text)
            .join('…'),
        );
      }
      ts.forEachChild(node, visit);
    };
    visit(
      ts.createSourceFile(
        file,
        readFileSync(file, 'utf8'),
        ts.ScriptTarget.Latest,
      ),
    );
    return texts;
  });
}

test('the operations page quotes log lines as the library writes them', () => {
  const rows = TEXT.split(/^## Logs\n/m)[1]!.split(/^## /m)[0]!;
  const quoted = [...rows.matchAll(/^\| `(?:log|warn|error)` +\| (.*) \|$/gm)]
    .flatMap(([, line]) => [...line!.matchAll(/`([^`]*(?:…|\.)[^`]*)`/g)])
    .map(([, text]) => text!);
  expect(quoted.length).toBeGreaterThan(15);
  const texts = textsOfLibrary();
  const missing = quoted
    .flatMap((text) => text.split('…').map((part) => part.trim()))
    .filter((part) => part.length > 3)
    .filter((part) => !texts.some((text) => text.includes(part)));
  expect(missing).toEqual([]);
});

test('the operations page gives the ACL rules that doctor --acl prints, and no other', () => {
  const commands = [
    ...TEXT.matchAll(/^redis-cli ACL SETUSER (?:[^\n]*\\\n)*[^\n]*$/gm),
  ].map(([command]) => command.replace(/\s*\\\n\s*/g, ' '));
  expect(commands).toEqual(DOCUMENTED_RULES);
});
