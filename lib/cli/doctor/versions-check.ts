import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fail, ok, type Finding } from './finding.js';
import { isAtLeast } from './server-checks.js';

/** The lowest minor and the highest major version, as in the package's peers. @internal */
export const NEEDED: readonly [
  name: string,
  least: [number, number],
  most: number,
][] = [
  ['nestjs-cache-invalidation', [0, 0], Infinity],
  ['@nestjs/core', [11, 0], 12],
  ['ioredis', [5, 4], 6],
];

/** Checks the versions of Node and of the packages that the application in a folder uses. @internal */
export function versionsIn(folder: string): Finding {
  const found = [`Node ${process.versions.node}`];
  const unfit: string[] = [];
  if (!isAtLeast(process.versions.node, [20, 19])) {
    unfit.push('Node 20.19 or newer');
  }
  for (const [name, least, most] of NEEDED) {
    const version = versionOf(name, folder);
    found.push(`${name} ${version ?? 'not found from here'}`);
    if (version === null) continue;
    if (!isAtLeast(version, least) || Number.parseInt(version, 10) > most) {
      unfit.push(`${name} from ${least.join('.')} to ${most}`);
    }
  }
  return unfit.length === 0
    ? ok(found.join(', '))
    : fail(found.join(', '), `It needs ${unfit.join(', ')}.`);
}

function versionOf(name: string, folder: string): string | null {
  try {
    const from = createRequire(join(folder, 'package.json'));
    const manifest = readFileSync(from.resolve(`${name}/package.json`), 'utf8');
    return (JSON.parse(manifest) as { version: string }).version;
  } catch {
    return null;
  }
}
