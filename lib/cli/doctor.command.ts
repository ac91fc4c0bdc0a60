import { describeCause } from '../errors/index.js';
import { defineCommand } from './command.js';
import { CHANNEL_CHECKS, listening } from './doctor/channel.checks.js';
import {
  ok,
  unknown,
  worst,
  type Check,
  type Finding,
  type Status,
} from './doctor/finding.js';
import { JOURNAL_CHECKS } from './doctor/journal.checks.js';
import { MEMORY_CHECKS } from './doctor/memory.checks.js';
import { SERVER_CHECKS } from './doctor/server.checks.js';
import { TLS_CHECK } from './doctor/tls.check.js';
import { versionsIn } from './doctor/versions.check.js';
import { parseDuration } from './duration.js';
import type { Format, Io } from './io.js';
import { RedisLink } from './redis.link.js';
import { targetFrom } from './target.js';
import { jsonLine, visible } from './visible.js';

const COLOURS: Record<Status, Format> = {
  ok: 'green',
  unknown: 'dim',
  warn: 'yellow',
  fail: 'red',
};

type Named = Finding & { readonly name: string };

/** Looks into what a deployment depends on. @internal */
export const doctor = defineCommand({
  usage: ['[options]'],
  options: {
    listen: {
      type: 'string',
      value: 'TIME',
      about: 'listen that long for messages that no journal holds',
    },
  },
  notes: `Connects as the services do: give it their URL, user included. Each line is ok,
warn, fail or unknown (the server does not tell), and says what to do. The exit
code is 1 if anything failed. Versions are those that the application in the
current folder has installed.`,
  async run({ values }, io) {
    const link = new RedisLink(targetFrom(values, io.env));
    const checks = [
      ...SERVER_CHECKS,
      TLS_CHECK,
      ...MEMORY_CHECKS,
      ...CHANNEL_CHECKS,
      ...JOURNAL_CHECKS,
    ];
    if (values.listen !== undefined) {
      checks.push(listening(parseDuration('listen', values.listen)));
    }
    const findings: Named[] = [
      { name: 'versions', ...versionsIn(process.cwd()) },
    ];
    try {
      findings.push(...(await examine(link, checks)));
    } finally {
      link.close();
    }
    const { status } = worst(findings);
    if (values.json) io.out(jsonLine({ status, checks: findings }));
    else for (const finding of findings) io.out(text(finding, io));
    return status === 'fail' ? 1 : 0;
  },
});

async function examine(
  link: RedisLink,
  checks: readonly Check[],
): Promise<Named[]> {
  const { where } = link.target;
  try {
    await link.connect();
  } catch (error) {
    const { message } = error as Error;
    return [{ name: 'connection', status: 'fail', message }];
  }
  const [first, ...others] = checks;
  const findings = [
    { name: 'connection', ...ok(where) },
    // Before the others are in its way.
    await look(link, first!),
  ];
  return findings.concat(
    await Promise.all(others.map((check) => look(link, check))),
  );
}

/** One that fails keeps nobody from the others. */
async function look(link: RedisLink, { name, run }: Check): Promise<Named> {
  try {
    return { name, ...(await run(link)) };
  } catch (error) {
    const cause = visible(describeCause(error as Error));
    return { name, ...unknown(`cannot tell: ${cause}`) };
  }
}

function text({ name, status, message, advice }: Named, io: Io): string {
  const line = `${io.style(COLOURS[status], status.padEnd(7))}  ${name.padEnd(14)}  ${visible(message, 1_000)}`;
  return advice
    ? `${line}\n${' '.repeat(25)}${io.style('bold', advice)}`
    : line;
}
