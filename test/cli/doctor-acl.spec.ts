import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { reportAcl } from '../../lib/cli/doctor/acl-report.js';
import { runProgram } from '../../lib/cli/program.js';
import type { RedisLink } from '../../lib/cli/redis-link.js';
import { aclUsers, type AclNeeds } from '../../lib/transport/index.js';
import { connectRaw, startApp } from '../support/app.js';
import type { RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { json, recordingIo } from './program.js';

const CHANNEL = 'cache:invalidate';
const NEEDS: AclNeeds = {
  role: 'both',
  channel: CHANNEL,
  sharded: false,
  topology: 'server',
};

interface Besides {
  readonly status: string;
  readonly message: string;
}

interface Report {
  readonly role: string;
  readonly version: string;
  readonly users: readonly { of: string; rules: string[]; command: string }[];
  readonly besides: Besides;
}

async function acl(...args: string[]): Promise<string> {
  const io = recordingIo();
  expect(await runProgram(['doctor', '--acl', ...args], io)).toBe(0);
  expect(io.notes).toEqual([]);
  return io.lines.join('\n');
}

const report = async (...args: string[]): Promise<Report> =>
  json(await acl('--json', ...args)) as unknown as Report;

/** The words of a command line, as a shell reads them. */
function wordsOf(command: string): string[] {
  const script = `set -f; printf '%s\\n' ${command}`;
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

describe('doctor --acl without a server', () => {
  it('prints the rules for Redis 7.0, and that nothing else can be told', async () => {
    const out = await acl();
    const [, command = ''] = /^(redis-cli .*)$/m.exec(out) ?? [];
    expect(wordsOf(command)).toEqual([
      'redis-cli',
      'ACL',
      'SETUSER',
      'cache-invalidation',
      'on',
      '>a-long-password',
      ...aclUsers(NEEDS)[0]!.rules,
    ]);
    expect(out).toContain('Rules for role both, Redis 7.0 or newer.');
    expect(out).toContain('unknown: cannot tell: Cannot reach Redis');
  });

  it.each<[string[], Partial<AclNeeds>]>([
    [['--role', 'subscriber'], { role: 'subscriber' }],
    [
      ['--role', 'publisher', '--sharded'],
      { role: 'publisher', sharded: true },
    ],
    [['--channel', "it's a *"], { channel: "it's a *" }],
    [['--l2', 'near:shop', '--l2', 'mine:'], { l2: ['near:shop', 'mine:'] }],
    [['--regions', '--role', 'both'], { regions: true }],
    [
      ['--regions', '--role', 'subscriber'],
      { regions: true, role: 'subscriber' },
    ],
    [['--cluster'], { topology: 'cluster' }],
    [['--sentinel', '127.0.0.1:1'], { topology: 'sentinel' }],
  ])('prints the rules for %j', async (args, needs) => {
    const { users } = await report('--timeout', '500ms', ...args);
    expect(users.map(({ of, rules }) => ({ of, rules }))).toEqual(
      aclUsers({ ...NEEDS, ...needs }),
    );
    for (const { command, rules } of users) {
      expect(wordsOf(command).slice(-rules.length)).toEqual(rules);
    }
  });

  it('prints a second user for near caches before version 7, and that ACL DRYRUN is missing there', async () => {
    const io = recordingIo();
    const link = {
      target: { connection: 'redis://a', channel: CHANNEL, sharded: false },
      client: {
        isCluster: false,
        info: async () => 'redis_version:6.2.14\r\n',
      },
      connect: async () => undefined,
      within: (_: string, answer: Promise<unknown>) => answer,
    };
    await reportAcl(
      link as Partial<RedisLink> as RedisLink,
      'both',
      { l2: ['near:shop'], json: true },
      io,
    );
    const { users, besides } = json(io.lines[0]!) as unknown as Report;
    expect(users.map(({ of }) => of)).toEqual(['service', 'second tier']);
    expect(JSON.stringify(users)).not.toMatch(/clearselectors|%R|"\(/);
    expect(besides.status).toBe('unknown');
    expect(besides.message).toMatch(
      /^Redis 6\.2 .* ACL DRYRUN came with 7\.0$/,
    );
  });
});

describeOnRedisServer('doctor --acl', () => {
  async function as(server: RedisServer, ...rules: string[]): Promise<string> {
    const redis = connectRaw(server.url);
    await redis.acl('SETUSER', 'app', 'on', 'nopass', ...rules);
    return server.url.replace('//', '//app:any@');
  }

  const LEAST = aclUsers(NEEDS)[0]!.rules;
  const ASKING = ['+acl|whoami', '+acl|dryrun'];

  it('prints rules that Redis takes, and an application starts with them', async () => {
    const server = await startServer({ real: true });
    const out = await acl('--url', server.url, '--l2', 'near:shop');
    const [, command = ''] = /^(redis-cli .*)$/m.exec(out) ?? [];
    const [, , , name, ...rules] = wordsOf(command);
    await connectRaw(server.url).acl('SETUSER', name!, ...rules);
    const { publisher } = await startApp({
      connection: server.url.replace('//', `//${name}:a-long-password@`),
      channel: CHANNEL,
    });
    expect((await publisher.invalidateUser(1)).status).toBe('delivered');
  });

  it('warns of what the user may do besides, and runs none of it', async () => {
    const server = await startServer({ real: true });
    await connectRaw(server.url).set('kept', '1');
    const { besides } = await report('--url', server.url);
    expect(besides.status).toBe('warn');
    for (const command of [
      'CLIENT KILL TYPE pubsub',
      'CLIENT PAUSE 1',
      'FLUSHALL',
      'CONFIG SET maxmemory 1',
      'SHUTDOWN',
      `DEL {${CHANNEL}}:journal`,
      `UNLINK {${CHANNEL}}:journal`,
    ]) {
      expect(besides.message).toContain(command);
    }
    expect(await connectRaw(server.url).get('kept')).toBe('1');
  });

  it.each<[string, string[], RegExp]>([
    [
      'CLIENT',
      ['+client'],
      /^user app may also run CLIENT KILL TYPE pubsub, CLIENT PAUSE 1, CLIENT NO-EVICT on$/,
    ],
    [
      'UNLINK of the journal',
      ['+unlink'],
      /^user app may also run UNLINK \{cache:invalidate\}:journal$/,
    ],
    ['another channel', ['&other'], /^user app may do nothing else/],
    [
      'all channels',
      ['allchannels'],
      /run PUBLISH cache:invalidate:other, SUBSCRIBE/,
    ],
  ])('names a right to %s', async (_, more, message) => {
    const server = await startServer({ real: true });
    const url = await as(server, ...LEAST, ...ASKING, ...more);
    const { besides } = await report('--url', url);
    expect(besides.message).toMatch(message);
  });

  it.each([
    ['subscriber', /PUBLISH cache:invalidate, XADD/],
    ['publisher', /SUBSCRIBE cache:invalidate$/],
  ])('names the rights of the other role for a %s', async (role, message) => {
    const server = await startServer({ real: true });
    const url = await as(server, ...LEAST, ...ASKING);
    const { besides } = await report('--url', url, '--role', role);
    expect(besides.message).toMatch(message);
  });

  it('says that the least rights do not suffice to find that out', async () => {
    const server = await startServer({ real: true });
    const { besides } = await report('--url', await as(server, ...LEAST));
    expect(besides).toMatchObject({ status: 'unknown' });
    expect(besides.message).toContain('may not run ACL WHOAMI and ACL DRYRUN');
  });
});
