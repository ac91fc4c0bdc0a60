import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../types/compile.js';
import { runProgram } from '../../lib/cli/program.js';
import { recordingIo, run, withProgram } from './program.js';

withProgram();

const COMMANDS = ['tail', 'stats', 'publish', 'doctor'];

describe('command line', () => {
  it.each(['--version', '-v'])('prints the version: %s', async (flag) => {
    const { version } = JSON.parse(
      readFileSync(join(root, 'package.json'), 'utf8'),
    ) as { version: string };
    expect(await run([flag])).toEqual({
      code: 0,
      out: `${version}\n`,
      err: '',
    });
  });

  it.each(['--help', '-h', 'help'])('lists the commands: %s', async (flag) => {
    const { code, out, err } = await run([flag]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const command of COMMANDS) expect(out).toContain(`  ${command} `);
  });

  it.each(COMMANDS)('prints the help of %s', async (command) => {
    const { code, out, err } = await run([command, '--help']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const args of [
      [command, '-h'],
      ['help', command],
    ]) {
      expect(await run(args)).toEqual({ code, err, out });
    }
    expect(out).toContain(`nestjs-cache-invalidation ${command} `);
    for (const option of ['--url <url>', '--cluster', '--sentinel', '--json']) {
      expect(out).toContain(option);
    }
  });

  it.each([
    [[], 'Say what to do.'],
    [['toString'], "Unknown command 'toString'."],
    [['help', 'toString'], "Unknown command 'toString'."],
    [['\x1b[2J'], "Unknown command '\\u001b[2J'."],
    [['tial'], 'Did you mean tail?'],
    [['help', 'docter'], 'Did you mean doctor?'],
    [['tail', '--chanel', 'a'], 'Did you mean --channel?'],
    [['--json'], "Unknown option '--json'."],
    [['tail', '--wat'], "Unknown option '--wat'"],
    [['tail', '--last'], "'--last <n>' argument missing"],
    [['tail', '--last', '0'], '--last is not a number from 1 to 10000.'],
    [['tail', '--count', '-1'], '--count'],
    [['tail', '--since', '5'], '--since is not a time.'],
    [['tail', '--since', '1m', '--last', '1'], '--since and --last'],
    [['tail', '--action', 'Drop'], 'There is no such --action.'],
    [['tail', '--type', ''], 'not an entity type'],
    [['tail', '--url', 'http://a:secret@b'], 'The URL of Redis cannot'],
    [['tail', '--url', 'redis://a:se%cret@b'], 'The URL of Redis cannot'],
    [['tail', '--cluster', '--sentinel', 'a'], '--cluster and --sentinel'],
    [['tail', '--name', 'mymaster'], '--name is for --sentinel.'],
    [['tail', '--sentinel', 'a:b:c'], '--sentinel is not a list'],
    [['tail', '--channel', ''], '--channel is empty.'],
    [['tail', '--channel', ' '], '--channel is empty.'],
    [['tail', '--channel', '{a}'], '--channel stands in braces'],
    [['tail', 'word'], 'Too many arguments'],
    [['stats', '--for', '0s'], '--for is not a time.'],
    [['stats', '--for', '30d'], '--for is not a time.'],
    [['stats', '--for', '1s', '--journal'], '--for is not for --journal.'],
    [['stats', '--since', '1h'], '--since is for --journal.'],
    [['doctor', '--listen', 'long'], '--listen is not a time.'],
    [['doctor', '--role', 'reader'], '--role is none that there is.'],
    [['doctor', '--l2', 'near:shop'], '--l2 is for --acl.'],
    [['doctor', '--regions'], '--regions is for --acl.'],
    [['doctor', '--region', 'eu'], '--region and --source belong together.'],
    [['doctor', '--region', 'eu', '--source', 'us'], 'not name=url.'],
    [['doctor', '--tables', 'public.users'], '--tables is for --postgres.'],
    [['doctor', '--slot', 'other'], '--slot is for --postgres.'],
    [['doctor', '--postgres', 'mysql://a:secret@b'], 'The URL of PostgreSQL'],
    [['doctor', '--acl', '--l2', 'near shop'], '--l2 has a space'],
    [['doctor', '--timeout', '0ms'], '--timeout is not a time.'],
    [['publish'], 'Give an entity type and an id.'],
    [['publish', 'User'], 'Give an entity type and an id.'],
    [['publish', 'User', '1', '2'], 'There is a word too many.'],
    [['publish', 'User', '1', '2', '3'], 'There are 2 words too many.'],
    [['publish', 'us:er', '1'], '"us:er" is not an entity type.'],
    [['publish', '--batch'], '--batch needs cache keys.'],
    [['publish', '--batch', 'User:1'], '"User:1" is not a cache key.'],
    [['publish', '--pattern', '**'], 'matches every key of every cache'],
    [['publish', '--pattern', 'a*', 'b'], 'There are words too many.'],
    [['publish', '--all'], 'add --yes'],
    [['publish', '--all', '--yes', 'User', '1'], 'There are words too many.'],
    [['publish', '--all', '--pattern', 'a'], 'exclude each other'],
    [['publish', '--batch', 'a:1', '--update'], '--update is for one entity.'],
    [['publish', 'User', '1', '--metadata', '{'], '--metadata is not JSON.'],
    [
      ['publish', 'User', '1', '--metadata', '{"__proto__":1}'],
      'The metadata cannot be sent.',
    ],
  ])('exits with 2 for %j, and prints the reason', async (args, why) => {
    const io = recordingIo();
    expect(await runProgram(args, io)).toBe(2);
    expect(io.lines).toEqual([]);
    const err = io.notes.join('\n');
    expect(err).toContain(why);
    expect(err).toContain('--help');
    expect(err).not.toContain('cret');
    expect(err).not.toContain('    at ');
  });

  it('exits with 2 as a process too', async () => {
    const { code, out, err } = await run(['tail', '--wat']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain("Unknown option '--wat'");
  });

  it('exits with 1 and prints one line when Redis is not reachable', async () => {
    const { code, out, err } = await run(['publish', 'User', '1'], {
      env: { REDIS_URL: 'redis://me:secret@127.0.0.1:1' },
    });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(
      /^nestjs-cache-invalidation publish: Cannot reach Redis at redis:\/\/127\.0\.0\.1:1: connect ECONNREFUSED .+\n$/,
    );
    expect(err).not.toContain('secret');
  });

  it('prints the stack trace with DEBUG=1', async () => {
    const { err } = await run(['publish', 'User', '1'], {
      env: { REDIS_URL: 'redis://127.0.0.1:1', DEBUG: '1' },
    });
    expect(err).toContain('    at ');
  });
});
