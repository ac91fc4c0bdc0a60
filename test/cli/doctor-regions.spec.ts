import { describe, expect, it } from 'vitest';
import type { Finding } from '../../lib/cli/doctor/finding.js';
import type { Entry } from '../../lib/cli/doctor/journal-checks.js';
import {
  namesIn,
  topologyOf,
  type SourceSample,
} from '../../lib/cli/doctor/region-names.js';
import { everything, Instance } from '../../lib/message/index.js';
import { aclUsers } from '../../lib/transport/index.js';
import { connectRaw } from '../support/app.js';
import { startActiveActive } from '../support/active-active.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer } from '../support/redis-server.js';
import { patient, wire } from '../subscriber/setup.js';
import { startRegions, type Region } from '../regions/regions.js';
import { doctorReport, type Report } from './doctor-report.js';

const urlOf = (region: Region | string): string =>
  typeof region === 'string' ? region : region.redis.url;

/** Examines a region, with others as its sources. */
const examine = (
  { name, channel, redis }: Region,
  sources: Record<string, Region | string>,
  ...more: string[]
): Promise<Report> =>
  doctorReport(
    '--channel',
    channel,
    '--url',
    redis.url,
    '--region',
    name,
    ...Object.entries(sources).flatMap(([source, region]) => [
      '--source',
      `${source}=${urlOf(region)}`,
    ]),
    ...more,
  );

const recordKey = ({ channel }: Region, source: string): string =>
  `{${channel}}:relay:${source}`;

/** Two regions that write, the second one relayed to the first. */
async function startPair(): Promise<{ eu: Region; us: Region }> {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  const writer = await us.app();
  await writer.publisher.invalidate('User', 1);
  const reader = await eu.app({ us });
  await reader.publisher.invalidate('User', 2);
  await eventually(
    () => expect(reader.subscriber.staleness()).toBeLessThan(1_000),
    patient,
  );
  return { eu, us };
}

describeOnRedisServer('doctor of regions', () => {
  it('reports ok for a relay that works', async () => {
    const { eu, us } = await startPair();
    const report = await examine(eu, { us });
    expect(report.of('source us')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/its journal ends at \d+-\d+$/) as string,
    });
    expect(report.of('record us')).toMatchObject({
      status: 'ok',
      message: expect.stringContaining('the end of the journal') as string,
    });
    expect(report.of('relay us').message).toMatch(/^held by [\w-]{36}$/);
    expect(report.of('proof us')).toMatchObject({
      status: 'ok',
      message: expect.stringMatching(/^everything of us was here/) as string,
    });
    expect(report.of('topology')).toEqual({
      name: 'topology',
      status: 'ok',
      message: 'eu takes over us',
    });
    expect(report.of('rights').status).toBe('ok');
  });

  it('reports a source without a relay', async () => {
    const { eu, us } = await pairWithoutRelay();
    const report = await examine(eu, { us });
    expect(report.of('record us').message).toMatch(/^none: nothing of us/);
    expect(report.of('relay us').message).toBe('nobody relays us');
    expect(report.of('proof us').message).toMatch(/^blind to us: no relay/);
    expect(report.code).toBe(0);
  });

  it('reports how far the record is behind, and for how long the region is blind', async () => {
    const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
    const redis = connectRaw(us.redis.url);
    const journal = `{${us.channel}}:journal`;
    const entry = (id: string, previous: string): Promise<unknown> =>
      redis.xadd(
        journal,
        id,
        'm',
        wire(1, { region: 'us', offset: id, previous }),
      );
    await entry('1000000-0', '0-0');
    await entry('1001000-0', '1000000-0');
    await entry('1045000-0', '1001000-0');
    const local = connectRaw(eu.redis.url);
    const key = recordKey(eu, 'us');
    await local.hset(key, 'offset', '1000000-0', 'foreign', '1');
    await local.set(`${key}:proof`, '', 'PX', 604_800_000 - 40_000);
    const report = await examine(eu, { us });
    expect(report.of('record us')).toMatchObject({
      status: 'warn',
      message:
        'at 1000000-0, 2 messages and 44 s behind; a publisher without a journal was heard in us: each reconnect evicts everything',
    });
    expect(report.of('proof us').message).toBe('blind to us for 40 s');

    await local.hset(key, 'offset', '999-0');
    await local.hdel(key, 'foreign');
    expect((await examine(eu, { us })).of('record us').message).toBe(
      'at 999-0, which the journal of us does not have any more: the next relay evicts everything once',
    );
    await local.hset(key, 'offset', '0-0');
    expect((await examine(eu, { us })).of('record us').message).toBe(
      'at 0-0, 3 messages and 45 s behind',
    );
  });

  it('fails for a source that cannot be reached, and checks the others', async () => {
    const { eu, us } = await pairWithoutRelay();
    const report = await examine(eu, {
      ap: 'redis://a:secret@127.0.0.1:1',
      us,
    });
    expect(report.code).toBe(1);
    expect(report.of('source ap')).toMatchObject({
      status: 'fail',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
    expect(report.of('topology')).toMatchObject({
      status: 'unknown',
      message: 'the journal of ap cannot be read',
    });
    expect(report.of('source us').status).toBe('ok');
    expect(JSON.stringify(report.of('source ap'))).not.toContain('secret');
  });

  it('fails for a source that is this region, or another source', async () => {
    const { eu, us } = await pairWithoutRelay();
    const report = await examine(eu, { us, ap: us, own: eu });
    expect(report.of('source us').status).toBe('ok');
    expect(report.of('source ap').message).toContain(
      'its journal is that of source us, too',
    );
    expect(report.of('source own').message).toContain(
      "its journal is this region's own",
    );
    expect(report.status).toBe('fail');

    const [empty] = await startRegions('empty');
    const { message } = (await examine(empty!, { us: empty! })).of('source us');
    expect(message).toBe("its journal is this region's own");
  });

  it('fails for Active-Active databases', async () => {
    const { eu, us } = await pairWithoutRelay();
    const report = await examine(
      {
        ...eu,
        redis: { ...eu.redis, url: await startActiveActive(eu.redis.port) },
      },
      { us: await startActiveActive(us.redis.port) },
    );
    for (const name of ['server', 'source us']) {
      expect(report.of(name)).toMatchObject({
        status: 'fail',
        message: expect.stringContaining('no one order') as string,
      });
    }
  });

  it('works with the least rights, and names those that are missing', async () => {
    const { eu, us } = await startPair();
    const as = async (
      { channel, redis }: Region,
      role: 'both' | 'subscriber',
      ...more: string[]
    ): Promise<string> => {
      const [user] = aclUsers({
        role,
        channel,
        sharded: false,
        topology: 'server',
        regions: role === 'both',
      });
      await connectRaw(redis.url).acl(
        'SETUSER',
        'app',
        'on',
        'nopass',
        ...user!.rules,
        ...more,
      );
      return redis.url.replace('//', '//app:any@');
    };
    const local = { ...eu, redis: { ...eu.redis, url: await as(eu, 'both') } };
    const source = await as(us, 'subscriber');
    await connectRaw(us.redis.url).acl('LOG', 'RESET');
    const report = await examine(local, { us: source });
    for (const name of ['rights', 'source us', 'record us', 'relay us']) {
      expect(report.of(name)).toMatchObject({ name, status: 'ok' });
    }
    expect(report.of('topology').status).toBe('ok');
    expect(await connectRaw(us.redis.url).acl('LOG')).toEqual([]);

    await as(eu, 'both', 'clearselectors');
    await as(us, 'subscriber', '-xrange');
    const poor = await examine(local, { us: source });
    expect(poor.of('rights')).toMatchObject({
      status: 'warn',
      message:
        'user unknown lacks HMGET, HSET, GET, SET, DEL, PTTL, which relays of other regions need',
    });
    expect(poor.of('source us').message).toBe('its user lacks XRANGE');
  });
});

async function pairWithoutRelay(): Promise<{ eu: Region; us: Region }> {
  const [eu, us] = (await startRegions('eu', 'us')) as [Region, Region];
  for (const region of [eu, us]) {
    await (await region.app()).publisher.invalidate('User', 1);
  }
  return { eu, us };
}

/** Entries of a journal, by the regions and paths of their messages. */
const entriesOf = (
  ...born: [region: string | null, ...path: string[]][]
): Entry[] =>
  born.map(([region, ...path], index) => ({
    offset: `${index + 1}-0`,
    payload: '',
    message: {
      ...new Instance('service', region).stamp(everything()),
      path: path.length === 0 ? null : path,
    },
  }));

const source = (
  name: string,
  entries: Entry[],
  transit = false,
): SourceSample => ({ name, entries, transit });

const messagesOf = (findings: readonly Finding[]): string[] =>
  findings.map(({ message, advice }) => `${message}. ${advice}`);

describe('topologyOf()', () => {
  it('finds nothing wrong with a mesh', () => {
    const us = source(
      'us',
      entriesOf(['us'], ['eu', 'us'], ['ap', 'us'], [null]),
    );
    const ap = source('ap', entriesOf(['ap'], ['us', 'ap'], ['eu', 'ap']));
    const own = entriesOf(['eu'], ['us', 'eu'], ['ap', 'eu'], [null]);
    expect(topologyOf('eu', own, [us, ap])).toEqual([]);
  });

  it('names regions that no source brings', () => {
    const us = source(
      'us',
      entriesOf(['us'], ['ap', 'us'], ['eu', 'us'], ['sa', 'eu', 'us']),
    );
    expect(messagesOf(topologyOf('eu', [], [us]))).toEqual([
      'messages born in ap are in the journal of us, and no source here brings ap: they do not reach eu. Add ap as a source, or transit to us.',
    ]);
    expect(topologyOf('eu', [], [{ ...us, transit: true }])).toEqual([]);
    expect(topologyOf('eu', [], [us, source('ap', [])])).toEqual([]);
  });

  it('names regions that two sources bring', () => {
    const us = source(
      'us',
      entriesOf(['us'], ['ap', 'us'], ['sa', 'us']),
      true,
    );
    const ap = source('ap', entriesOf(['ap'], ['sa', 'us', 'ap']), true);
    expect(messagesOf(topologyOf('eu', [], [us, ap]))).toEqual([
      'messages born in ap are brought by ap and us: each is announced twice. Leave out transit for us.',
      'messages born in sa are brought by us and ap: each is announced twice. Leave out transit for ap.',
    ]);
  });

  it('names regions in the own journal that nobody brings', () => {
    const own = entriesOf(['eu-west'], ['us'], ['eu']);
    const [finding] = topologyOf('eu', own, [source('us', [])]);
    expect(finding!.message).toBe(
      'messages born in eu-west are in the journal of eu, and no source here brings them',
    );
  });
});

describe('namesIn()', () => {
  it.each([
    [entriesOf(), /^named$/],
    [entriesOf(['us'], ['ap']), /^named$/],
    [entriesOf(['us'], [null]), /^1 of its last 2 messages carry no region$/],
    [
      entriesOf(['usa'], ['ap']),
      /^none of its last 2 messages was born in us, but in usa, ap$/,
    ],
  ])('judges the messages of a source', (entries, message) => {
    expect(namesIn('us', entries).message).toMatch(message);
  });
});
