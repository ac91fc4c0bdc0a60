import { describe, expect, it } from 'vitest';
import { said, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startRegions, type Region } from '../regions/regions.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { RestrictedUsers } from '../support/restricted-user.js';
import { json, patient, run, start, withProgram } from './program.js';

withProgram();

function relay(eu: Region, us: Region, ...more: string[]) {
  return start([
    'relay',
    '--url',
    eu.redis.url,
    '--channel',
    eu.channel,
    '--region',
    'eu',
    '--source',
    `us=${us.redis.url}`,
    ...more,
  ]);
}

describe('relay', () => {
  it('carries the messages of a source, and ends at Ctrl-C', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us: {} });
    const writer = await us.app();
    const process = relay(eu, us);
    await eventually(
      () => expect(reader.subscriber.staleness('us')).toBeLessThan(60_000),
      patient,
    );
    await writer.publisher.invalidate('User', 1);
    await eventually(() =>
      expect(reader.messages.map(said)).toEqual(['*', 'User:1']),
    );
    process.child.kill('SIGINT');
    expect(await process.ended).toBe(0);
    expect(process.out()).toContain(
      'us: relayed by this process; 2 messages forwarded, everything 1 times (first-start)',
    );
    expect(process.err()).toContain('relays region us');
  });

  it('goes on where a killed one has stopped', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const reader = await eu.app({ us: {} });
    const writer = await us.app();
    const first = relay(eu, us);
    await eventually(
      () => expect(reader.messages.map(said)).toEqual(['*']),
      patient,
    );
    await writer.publisher.invalidate('User', 1);
    await eventually(() => expect(reader.messages).toHaveLength(2));
    first.child.kill('SIGKILL');
    await first.ended;
    await writer.publisher.invalidate('User', 2);
    const second = relay(eu, us, '--json');
    await eventually(
      () =>
        expect(reader.messages.map(said)).toEqual(['*', 'User:1', 'User:2']),
      patient,
    );
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    expect(json(second.lines().at(-1)!)).toEqual({
      source: 'us',
      relays: true,
      forwarded: 1,
      widened: {},
    });
  });

  /** Starts a relay whose user in its own Redis has the rights of a publisher. */
  async function relayAs(user: { readonly regions: boolean }) {
    const server = await startServer({ real: true });
    const channel = uniqueChannel();
    const local = new RestrictedUsers([server.url], 'relay', {
      role: 'publisher',
      channel,
      sharded: false,
      topology: 'server',
      ...user,
    });
    await local.create();
    const url = server.url.replace(
      '//',
      `//relay:${RestrictedUsers.PASSWORD}@`,
    );
    const args = ['--channel', channel, '--region', 'eu'];
    const source = ['--source', `us=${server.url}`];
    const process = start(['relay', '--url', url, ...args, ...source]);
    return { process, local, channel };
  }

  itOnRedisServer('names the rights that it lacks, with the rule', async () => {
    const { process, channel } = await relayAs({ regions: false });
    expect(await process.ended).toBe(1);
    expect(process.err()).toContain(`{${channel}}:relay:us: not allowed.`);
    expect(process.err()).toContain(`~{${channel}}:relay:*`);
    expect(process.err()).toContain('doctor --acl --regions');
    expect(process.err()).not.toContain('journal: false');
  });

  itOnRedisServer('needs no other right than those of the rule', async () => {
    const { process, local } = await relayAs({ regions: true });
    await eventually(
      () => expect(process.err()).toContain('relays region us'),
      patient,
    );
    process.child.kill('SIGINT');
    expect(await process.ended).toBe(0);
    expect(await local.denied()).toEqual([]);
  });

  it.each([
    [['relay'], 'No region is given.'],
    [['relay', '--region', 'eu'], '--region and --source belong together.'],
    [
      ['relay', '--region', 'eu', '--source', 'us=redis://a', '--delay', 'x'],
      '--delay is not a time.',
    ],
  ])('refuses %j', async (args, error) => {
    const { code, err } = await run(args);
    expect(code).toBe(2);
    expect(err).toContain(error);
  });
});
