import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  CacheInvalidationError,
  InvalidationSerializationError,
  InvalidMessageError,
} from '../errors/index.js';
import { CONNECTION_OPTIONS, type Command } from './command.js';
import { helpOf, helpOfAll, PROGRAM } from './help.js';
import type { Io } from './io.js';
import { UsageError } from './usage.error.js';
import { visible } from './visible.js';

/** Loaded when asked for: the help needs no ioredis. */
const COMMANDS: Record<string, [about: string, load: () => Promise<Command>]> =
  {
    tail: [
      'show what is said on a channel, as it is said',
      async () => (await import('./tail.command.js')).tail,
    ],
    stats: [
      'count it by service, type and action',
      async () => (await import('./stats.command.js')).stats,
    ],
    publish: [
      'say that something has changed',
      async () => (await import('./publish.command.js')).publish,
    ],
    doctor: [
      'check a deployment, and say what to do',
      async () => (await import('./doctor.command.js')).doctor,
    ],
  };

/**
 * The whole program, but for its process.
 *
 * @returns the exit code: 0, 1 if it failed, 2 if it was called wrongly
 * @internal
 */
export async function runProgram(
  argv: readonly string[],
  io: Io,
): Promise<number> {
  const [name = '', ...args] = argv;
  if (name === '--version') {
    io.out(versionOfPackage());
  } else if (name === '--help') {
    io.out(helpOfAll(abouts()));
  } else if (Object.hasOwn(COMMANDS, name)) {
    return runCommand(name, args, io);
  } else {
    const wrong =
      name === '' ? 'Say what to do.' : `There is no ${visible(name, 40)}.`;
    io.note(`${wrong}\n\n${helpOfAll(abouts())}`);
    return 2;
  }
  return 0;
}

async function runCommand(
  name: string,
  args: string[],
  io: Io,
): Promise<number> {
  try {
    const [about, load] = COMMANDS[name]!;
    const command = await load();
    const { values, positionals: words } = parse(command, args);
    if (!values.help) return await command.run({ values, words }, io);
    io.out(helpOf(name, about, command));
    return 0;
  } catch (error) {
    io.note(`${PROGRAM} ${name}: ${describe(error, io)}`);
    if (!isWrongUsage(error)) return 1;
    io.note(`${PROGRAM} ${name} --help says how it is used.`);
    return 2;
  }
}

function abouts(): [string, string][] {
  return Object.entries(COMMANDS).map(([name, [about]]) => [name, about]);
}

function parse(command: Command, args: string[]) {
  try {
    return parseArgs({
      args,
      options: { ...command.options, ...CONNECTION_OPTIONS },
      allowPositionals: command.takesWords ?? false,
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function isWrongUsage(error: unknown): boolean {
  return (
    error instanceof UsageError ||
    error instanceof InvalidMessageError ||
    error instanceof InvalidationSerializationError
  );
}

/** One line; all of it for who looks for the reason. */
function describe(error: unknown, { env }: Io): string {
  if (!(error instanceof Error)) return visible(String(error));
  if (env['DEBUG']) return error.stack ?? error.message;
  const what = visible(error.message, 2_000);
  return error instanceof CacheInvalidationError
    ? what
    : `${what} (DEBUG=1 says where)`;
}

function versionOfPackage(): string {
  const manifest = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string })
    .version;
}
