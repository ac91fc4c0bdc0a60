// Parts that the checks of the package share: a temporary folder, child
// processes that end with this one, and steps that are reported.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const manifest = JSON.parse(
  await readFile(join(root, 'package.json'), 'utf8'),
);

/** Folder of all generated files, removed at the end. */
export const bench = await realpath(
  await mkdtemp(join(tmpdir(), `${manifest.name}-`)),
);

const running = new Set();
const began = performance.now();

/** Prints the title of a step, and then its duration. */
export async function step(title, work) {
  const since = performance.now();
  console.log(`\n=== ${title}`);
  const result = await work();
  console.log(`    ok (${seconds(since)})`);
  return result;
}

/** Runs a program to its end; its output is shown if it fails. */
export async function run(command, args, options = {}) {
  console.log(`    $ ${[command, ...args].join(' ')}`);
  const child = start(command, args, options);
  const code = await child.ended;
  if (code !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${code}:\n${child.output()}`,
    );
  }
  return child.output();
}

/** Starts a program and leaves it running. */
export function start(command, args, { cwd = bench, env = {} } = {}) {
  let output = '';
  // A process group of its own, so that its children can be ended with it.
  const child = spawn(command, args, {
    cwd,
    env: { ...environment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  const ended = new Promise((resolve) => {
    child.on('error', (error) => {
      output += error.message;
      resolve(-1);
    });
    child.on('close', (code, killedBy) => resolve(code ?? killedBy));
  }).finally(() => running.delete(child));
  return {
    ended,
    output: () => output,
    async stop() {
      signal(child, 'SIGTERM');
      const timer = setTimeout(() => signal(child, 'SIGKILL'), 10_000);
      const code = await ended;
      clearTimeout(timer);
      return code;
    },
  };
}

/** Packs the library as `npm publish` would; returns the tarball's path. */
export async function pack() {
  await run('npm', ['pack', '--pack-destination', bench], { cwd: root });
  const tarball = (await readdir(bench)).find((file) => file.endsWith('.tgz'));
  return join(bench, tarball);
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * Runs the whole check; the process ends with its result, and leaves nothing
 * behind.
 */
export async function main(title, work) {
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ]) {
    process.on(name, () => {
      console.error(`\n${title}: stopped by ${name}`);
      cleanUp();
      process.exit(code);
    });
  }
  try {
    await work();
    console.log(`\n${title}: passed (${seconds(began)})`);
  } catch (error) {
    console.error(`\n${title}: FAILED (${seconds(began)})\n`);
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    cleanUp();
  }
}

function cleanUp() {
  for (const child of running) signal(child, 'SIGKILL');
  rmSync(bench, { recursive: true, force: true, maxRetries: 10 });
}

function signal(child, name) {
  try {
    process.kill(-child.pid, name);
  } catch {
    // The process group has ended already.
  }
}

// Without the variables of `npm run`, which describe this package and not the
// generated one; a user's own settings, from files and from npm_config_*,
// count.
function environment() {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^npm_(package|lifecycle|command|execpath|node_execpath|config_(local_prefix|noproxy|global_prefix|prefix))/.test(
        name,
      ),
  );
  return {
    ...Object.fromEntries(kept),
    NO_COLOR: '1',
    npm_config_loglevel: 'error',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
