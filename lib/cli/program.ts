import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import {
  CacheInvalidationError,
  InvalidationSerializationError,
  InvalidMessageError,
} from '../errors/index.js';
import { connectionOptions, type CliCommand } from './command.js';
import type { Io } from './io.js';
import { UsageError } from './usage.error.js';
import { visible } from './visible.js';

const PROGRAM = 'nestjs-cache-invalidation';

/** Commands are loaded on demand: the help needs no ioredis. */
const COMMANDS: Record<
  string,
  [about: string, load: () => Promise<CliCommand<object>>]
> = {
  tail: [
    'show the messages of a channel as they are published',
    async () => (await import('./tail.command.js')).tail,
  ],
  stats: [
    'count the messages of a channel by service, type and action',
    async () => (await import('./stats.command.js')).stats,
  ],
  publish: [
    'publish an invalidation',
    async () => (await import('./publish.command.js')).publish,
  ],
  relay: [
    'carry the messages of other regions into this one',
    async () => (await import('./relay.command.js')).relay,
  ],
  postgres: [
    'prepare PostgreSQL as a source of invalidations, or undo it',
    async () => (await import('./postgres.command.js')).postgres,
  ],
  doctor: [
    'check a deployment, and advise',
    async () => (await import('./doctor.command.js')).doctor,
  ],
};

/**
 * Runs the program in the current process.
 *
 * @returns the exit code: 0, 1 if it failed, 2 if it was called wrongly
 * @internal
 */
export async function runProgram(
  argv: readonly string[],
  io: Io,
): Promise<number> {
  const [asked, topic = ''] = argv;
  // `help` of an unknown command fails as that command would.
  const isLost =
    asked === 'help' && argv.length > 1 && !Object.hasOwn(COMMANDS, topic);
  const args = isLost ? [topic] : argv;
  const run = { code: 0 };
  const program = await programFor(args, io, run);
  if (args.length === 0) {
    io.note(`Say what to do.\n\n${program.helpInformation()}`);
    return 2;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return run.code;
  } catch (error) {
    // Commander ends help and version by an error as well.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const name = Object.hasOwn(COMMANDS, args[0]!)
      ? `${PROGRAM} ${args[0]}`
      : PROGRAM;
    io.note(`${name}: ${describe(error, io)}`);
    if (!isWrongUsage(error)) return 1;
    io.note(`See ${name} --help.`);
    return 2;
  }
}

async function programFor(
  args: readonly string[],
  io: Io,
  run: { code: number },
): Promise<Command> {
  const program = new Command(PROGRAM)
    .option('-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this text')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.note(text.trimEnd()),
      // runProgram() prints all errors.
      outputError: () => undefined,
    });
  program.on('option:version', () => {
    io.out(versionOfPackage());
    throw new CommanderError(0, 'commander.version', '');
  });
  for (const [name, [about, load]] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(about);
    if (!args.includes(name)) continue;
    const {
      define,
      connection = connectionOptions,
      run: runCommand,
    } = await load();
    define(command);
    for (const option of connection()) command.addOption(option);
    command.action(async () => {
      run.code = await runCommand(command.opts(), command.args, io);
    });
  }
  return program;
}

function isWrongUsage(error: unknown): boolean {
  return (
    error instanceof CommanderError ||
    error instanceof UsageError ||
    error instanceof InvalidMessageError ||
    error instanceof InvalidationSerializationError
  );
}

/** An error in one line, or with its stack if `DEBUG` is set. */
function describe(error: unknown, { env }: Io): string {
  if (!(error instanceof Error)) return visible(String(error));
  if (error instanceof CommanderError) return sentence(error.message);
  if (env['DEBUG']) return error.stack ?? error.message;
  const what = visible(error.message, 2_000);
  return error instanceof CacheInvalidationError
    ? what
    : `${what} (set DEBUG=1 for its stack)`;
}

/** Makes a sentence of commander's `error: unknown option '--wat'` and its guess in a second line. */
function sentence(message: string): string {
  const [what = '', guess = ''] = message.replace(/^error: /, '').split('\n(');
  const problem = `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  return visible(
    `${problem.replace(/\.?$/, '.')} ${guess.replace(/\)$/, '')}`.trim(),
    2_000,
  );
}

function versionOfPackage(): string {
  const manifest = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string })
    .version;
}
