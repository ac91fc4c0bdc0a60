import {
  CONNECTION_OPTIONS,
  type CliOption,
  type CliOptions,
  type Command,
} from './command.js';

/** @internal */
export const PROGRAM = 'nestjs-cache-invalidation';

/** @internal */
export function helpOf(name: string, about: string, command: Command): string {
  const usage = command.usage.map((rest) => `  ${PROGRAM} ${name} ${rest}`);
  return [
    `${name}: ${about}`,
    `Usage:\n${usage.join('\n')}`,
    ...section('Options', command.options),
    ...section('Connection', CONNECTION_OPTIONS),
    command.notes,
  ].join('\n\n');
}

/** @internal */
export function helpOfAll(
  abouts: readonly (readonly [string, string])[],
): string {
  const width = Math.max(...abouts.map(([name]) => name.length));
  const lines = abouts.map(
    ([name, about]) => `  ${name.padEnd(width)}  ${about}`,
  );
  return `Usage: ${PROGRAM} <command> [options]

${lines.join('\n')}

${PROGRAM} <command> --help says more; --version which version this is.`;
}

function section(title: string, options: CliOptions): string[] {
  const rows = Object.entries(options).map(
    ([name, option]) => [nameOf(name, option), option.about] as const,
  );
  if (rows.length === 0) return [];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(
    ([name, about]) => `  ${name.padEnd(width)}  ${about}`,
  );
  return [`${title}:\n${lines.join('\n')}`];
}

function nameOf(name: string, { value }: CliOption): string {
  return value === undefined ? `--${name}` : `--${name} ${value}`;
}
