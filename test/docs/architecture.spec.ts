import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { importRules, layout } from './import-rules.mjs';

describe('docs/architecture.md', () => {
  it('lists every folder of lib', () => {
    const { ordered, leaves } = layout();
    const folders = readdirSync('lib', { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);

    expect(new Set([...ordered, ...leaves])).toEqual(new Set(folders));
  });

  it('lists the folders in the order that the linter enforces', () => {
    const rules: unknown = JSON.parse(
      readFileSync('.oxlintrc.imports.json', 'utf8'),
    );

    // Run `npm run lint:rules` after a change of the list.
    expect(rules).toEqual({ overrides: importRules() });
  });
});
