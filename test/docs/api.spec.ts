import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { root } from './markdown.js';

function pagesIn(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [
      name,
      readFileSync(join(folder, name), 'utf8'),
    ]),
  );
}

test('the API reference matches the JSDoc: renew it with npm run docs:api', async () => {
  const out = mkdtempSync(join(tmpdir(), 'api-'));
  onTestFinished(() => rmSync(out, { recursive: true }));
  await promisify(execFile)(
    process.execPath,
    [
      join(root, 'node_modules/typedoc/bin/typedoc'),
      '--options',
      'docs/typedoc.json',
      '--out',
      out,
    ],
    { cwd: root },
  );
  expect(pagesIn(join(root, 'docs/api'))).toEqual(pagesIn(out));
}, 300_000);
