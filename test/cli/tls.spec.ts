import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
} from 'vitest';
import { runProgram } from '../../lib/cli/program.js';
import { targetFrom } from '../../lib/cli/target.js';
import {
  makeCertificates,
  type Certificates,
} from '../support/certificates.js';
import type { RedisServer } from '../support/redis.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { startCluster, startSentinel } from '../support/redis.topologies.js';
import { json, recordingIo, run, start, withProgram } from './program.js';

withProgram();

let files: Certificates;

beforeAll(async () => {
  files = await makeCertificates();
});
afterAll(() => files.remove());

/** The three files, for the command line. */
function flags(): string[] {
  const { ca, client } = files;
  return ['--ca', ca, '--cert', client.cert, '--key', client.key];
}

function variables(): NodeJS.ProcessEnv {
  return {
    CACHE_INVALIDATION_TLS_CA: files.ca,
    CACHE_INVALIDATION_TLS_CERT: files.client.cert,
    CACHE_INVALIDATION_TLS_KEY: files.client.key,
  };
}

/** @returns the finding of doctor about TLS, or that Redis could not be reached */
async function examine(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<unknown> {
  const { out, err } = await run(['doctor', '--json', ...args], { env });
  expect(err).toBe('');
  const { checks } = json(out) as {
    checks: { name: string; status: string; message: string }[];
  };
  const { status, message } = (checks.find(({ name }) => name === 'TLS') ??
    checks.at(-1))!;
  return `${status} ${message}`;
}

function urlOf(port: number | undefined): string {
  return `rediss://127.0.0.1:${port}`;
}

describeOnRedisServer('command line: TLS', () => {
  it('uses the files of options and of variables for a server', async () => {
    const { tlsPort } = await startServer({ tls: files });
    const url = ['--url', urlOf(tlsPort)];
    expect(await examine([...url, ...flags()])).toBe('ok yes');
    expect(await examine(url, variables())).toBe('ok yes');
    const without = await examine(url);
    expect(without).toMatch(/^fail Cannot reach Redis .+self.signed/);
    const untrusted = await examine([...url, ...flags().slice(2)]);
    expect(untrusted).toMatch(/^fail Cannot reach Redis .+self.signed/);
    const anonymous = await examine([...url, ...flags().slice(0, 2)]);
    expect(anonymous).toMatch(/^fail Cannot reach Redis .+certificate/);
  });

  it('uses them for the subscription and for a publish', async () => {
    const { tlsPort } = await startServer({ tls: files });
    const options = { env: { REDIS_URL: urlOf(tlsPort), ...variables() } };
    const tail = start(['tail', '--count', '1'], options);
    await tail.listens();
    const { code } = await run(['publish', 'User', '7'], options);
    expect(code).toBe(0);
    expect(await tail.ended).toBe(0);
    expect(tail.out()).toContain('user:7');
  });

  it('uses them for the nodes of a cluster and the shard subscription', async () => {
    const cluster = await startCluster({ tls: files });
    onTestFinished(() => cluster.stop());
    const url = urlOf(cluster.servers[0]!.tlsPort);
    const args = ['--url', url, '--cluster', ...flags()];
    expect(await examine(args)).toBe('ok yes (3 masters)');
    const tail = start(['tail', '--sharded', '--count', '1', ...args]);
    await tail.listens();
    const { code } = await run(['publish', 'User', '7', '--sharded', ...args]);
    expect(code).toBe(0);
    expect(await tail.ended).toBe(0);
  });

  it('uses them for the Sentinels and the master', async () => {
    const { sentinels, master, stop } = await startSentinel(files);
    onTestFinished(stop);
    const { host, port } = sentinels[0]!;
    const args = ['--sentinel', `${host}:${port}`, '--url', 'rediss://master'];
    expect(await examine([...args, ...flags()])).toBe('ok yes');
    expect(master.tlsPort).not.toBe(port);
    expect(await examine([...args, '--ca', files.ca])).toMatch(/^fail /);
  });

  it('asks for --server-name, and verifies it', async () => {
    const redis = await startServer();
    const { port, asked } = await startNamedEntrance(redis);
    const url = ['--url', urlOf(port), '--ca', files.ca];
    expect(await examine([...url, '--server-name', 'redis.test'])).toBe(
      'ok yes',
    );
    expect(asked).toContain('redis.test');
    const env = { CACHE_INVALIDATION_TLS_SERVER_NAME: 'redis.test' };
    expect(await examine(url, env)).toBe('ok yes');
    expect(await examine(url)).toMatch(/^fail .+does not match/);
    expect(await examine([...url, '--server-name', 'other.test'])).toMatch(
      /^fail .+does not match/,
    );
  });
});

/** TLS in front of a server without it, with a certificate for a name only. */
async function startNamedEntrance({
  port,
}: RedisServer): Promise<{ port: number; asked: unknown[] }> {
  const asked: unknown[] = [];
  const { cert, key } = files.named;
  const entrance = createServer(
    { cert: readFileSync(cert), key: readFileSync(key) },
    (client) => {
      asked.push(client.servername);
      const redis = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [client, redis],
        [redis, client],
      ] as const) {
        from.pipe(to);
        from.on('error', () => undefined);
        from.on('close', () => to.destroy());
      }
    },
  );
  entrance.on('tlsClientError', () => undefined);
  await once(entrance.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void entrance.close());
  return { port: (entrance.address() as AddressInfo).port, asked };
}

describe('command line: wrong TLS settings', () => {
  const url = ['--url', 'rediss://me:secret@127.0.0.1:1'];

  /** A setting by its name: a file of the test, or the text itself. */
  function given(name: string): string {
    const paths: Record<string, string> = {
      ca: files.ca,
      cert: files.client.cert,
      key: files.client.key,
      'other key': files.server.key,
      folder: files.folder,
      missing: join(files.folder, 'secret-name.pem'),
    };
    return paths[name] ?? name;
  }

  async function refusal(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<string> {
    const io = recordingIo();
    Object.assign(io.env, env);
    expect(await runProgram(['doctor', ...args], io)).toBe(2);
    expect(io.lines).toEqual([]);
    const said = io.notes.join('\n');
    expect(said).not.toMatch(/secret|BEGIN|\/certificates-/);
    return said;
  }

  it.each([
    [['--ca', 'missing'], 'The file of --ca cannot be read (ENOENT).'],
    [['--ca', 'folder'], 'The file of --ca cannot be read (EISDIR).'],
    [['--ca', 'key'], 'The file of --ca cannot be used.'],
    [['--cert', 'cert'], '--cert is given without --key.'],
    [['--key', 'key'], '--key is given without --cert.'],
    [['--cert', 'missing', '--key', 'key'], 'The file of --cert cannot be'],
    [['--cert', 'cert', '--key', 'missing'], 'The file of --key cannot be'],
    [['--cert', 'cert', '--key', 'cert'], 'The file of --key cannot be used.'],
    [['--cert', 'key', '--key', 'key'], 'The file of --cert cannot be used.'],
    [
      ['--cert', 'cert', '--key', 'other key'],
      '--key is not the key of --cert',
    ],
    [['--server-name', ' '], '--server-name is not the name of a host.'],
    [['--server-name', '::1'], '--server-name is not the name of a host.'],
  ])('exits with 2 for %j, and names the option', async (args, why) => {
    const said = await refusal([...url, ...args.map(given)]);
    expect(said).toContain(why);
  });

  it('names the variable, and never shows its value', async () => {
    const said = await refusal([...url, '--cert', files.client.cert], {
      CACHE_INVALIDATION_TLS_KEY: readFileSync(files.client.key, 'utf8'),
      DEBUG: '1',
    });
    expect(said).toContain('The file of CACHE_INVALIDATION_TLS_KEY cannot');
    const alone = { CACHE_INVALIDATION_TLS_KEY: files.client.key };
    expect(await refusal(url, alone)).toContain(
      'CACHE_INVALIDATION_TLS_KEY is given without --cert.',
    );
  });

  it.each([['--ca'], ['--cert'], ['--key'], ['--server-name']])(
    'exits with 2 for %s with a URL without TLS',
    async (option) => {
      for (const more of [[], ['--cluster'], ['--sentinel', 'a']]) {
        const said = await refusal([option, 'x', ...more]);
        expect(said).toContain(`${option} is for TLS`);
      }
    },
  );

  it('refuses a key with a passphrase', async () => {
    const encrypted = join(files.folder, 'encrypted.key');
    writeFileSync(
      encrypted,
      '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n',
    );
    const pair = ['--cert', files.client.cert, '--key', encrypted];
    expect(await refusal([...url, ...pair])).toContain(
      'a private key without a passphrase',
    );
  });

  it('prefers options to variables, and ignores empty variables', () => {
    const env = {
      CACHE_INVALIDATION_TLS_SERVER_NAME: 'variable.test',
      CACHE_INVALIDATION_TLS_CA: '',
    };
    const values = { url: 'rediss://h:1', serverName: 'option.test' };
    expect(targetFrom(values, env).connection).toEqual({
      host: 'h',
      port: 1,
      tls: { servername: 'option.test' },
    });
  });
});
