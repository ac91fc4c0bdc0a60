import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtemp,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cluster, Redis } from 'ioredis';
import ts from 'typescript';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { startApp, uniqueChannel } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { watchHandles, type OpenHandles } from '../support/open-handles.js';
import { itOnRedisServer, startServer } from '../support/redis-server.js';
import { startCluster } from '../support/redis.topologies.js';
import { RecordingListener } from '../transport/transport.contract.js';
import {
  connectionTo,
  FOREVER,
  Hand,
  startLinks,
  type Links,
} from './setup.js';

/** A URL without a server. */
const NOWHERE = 'redis://127.0.0.1:1';

/** Handles were made, and none of them is left. */
const NOTHING_LEFT = { made: expect.any(Number), left: [] };

/** Runs it, and waits until all timers and sockets made since are gone. */
async function tracesOf(act: () => Promise<void>): Promise<OpenHandles> {
  const handles = watchHandles('/lib/');
  await act();
  await eventually(() => {
    if (handles().left.length > 0) throw new Error('Something is left.');
  }).catch(() => undefined);
  return handles();
}

function listeners(client: Redis | Cluster): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of client.eventNames()) {
    counts[String(name)] = client.listenerCount(name);
  }
  return counts;
}

function clientOn({ connection }: Links): Redis {
  const client = new Redis(connection);
  onTestFinished(() => client.disconnect());
  return client;
}

describe('Closing an application releases sockets, timers and listeners', () => {
  it('with its own server', async () => {
    const { made, left } = await tracesOf(async () => {
      const app = await startApp();
      await app.publisher.invalidateUser('1');
      await app.close();
    });
    // At least two sockets, or the test would not detect any.
    expect(made).toBeGreaterThanOrEqual(2);
    expect(left).toEqual([]);
  });

  it('when Redis was never available', async () => {
    const traces = await tracesOf(async () => {
      const app = await startApp({
        connection: NOWHERE,
        startupTimeout: 50,
        shutdownTimeout: 50,
      });
      await app.publisher.invalidateUser('1');
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  it('while it reconnects', async () => {
    const server = await startServer();
    const traces = await tracesOf(async () => {
      const app = await startApp({
        connection: server.url,
        shutdownTimeout: 50,
      });
      server.kill();
      await eventually(() =>
        expect(app.subscriber.status.state).toBe('disconnected'),
      );
      await app.publisher.invalidateUser('1');
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  itOnRedisServer('while Redis hangs', async () => {
    const server = await startServer();
    const traces = await tracesOf(async () => {
      const app = await startApp({
        connection: server.url,
        publishTimeout: 50,
        shutdownTimeout: 50,
      });
      server.pause();
      await app.publisher.invalidateUser('1');
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  itOnRedisServer('while Redis refuses commands', async () => {
    const server = await startServer({ real: true });
    const admin = new Redis(server.url);
    onTestFinished(() => admin.disconnect());
    await admin.acl(
      ...(['SETUSER', 'mute', 'on', 'nopass', '+@all', '&*', '~*'] as const),
    );
    const traces = await tracesOf(async () => {
      const app = await startApp({
        connection: `redis://mute:any@127.0.0.1:${server.port}`,
        shutdownTimeout: 50,
      });
      await admin.acl('SETUSER', 'mute', '-publish');
      expect(await app.publisher.invalidateUser('1')).toMatchObject({
        status: 'queued',
      });
      expect(app.errors[0]!.message).toContain("can't run");
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  itOnRedisServer('when Redis refused its start', async () => {
    const server = await startServer({ real: true });
    const admin = new Redis(server.url);
    onTestFinished(() => admin.disconnect());
    await admin.acl(
      ...(['SETUSER', 'mute', 'on', 'nopass', '+@all', '-xadd'] as const),
      ...(['&*', '~*'] as const),
    );
    const traces = await tracesOf(async () => {
      const starting = startApp({
        connection: `redis://mute:any@127.0.0.1:${server.port}`,
      });
      await expect(starting).rejects.toThrow('lacks rights');
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  it.each([
    ['its own', (links: Links) => links.connection],
    ["the application's", clientOn],
  ])(
    'while it reads a journal that does not respond, with %s client',
    async (_, connection) => {
      const server = await startServer();
      const links = await startLinks(server);
      const channel = uniqueChannel();
      const hand = new Hand(server, channel);
      const given = connection(links);
      await hand.redis.ping();
      const traces = await tracesOf(async () => {
        const app = await startApp({
          connection: given,
          channel,
          heartbeatTimeout: FOREVER,
          maxStaleness: 3 * FOREVER,
          shutdownTimeout: 50,
        });
        await hand.say('before');
        await eventually(() => expect(app.messages).toHaveLength(1));
        links.commands.swallow('down');
        await hand.mumble('lost');
        await hand.say('held');
        await eventually(() =>
          expect(app.subscriber.status.state).toBe('catching-up'),
        );
        // The promise is not awaited, and must not keep the process alive.
        app.subscriber
          .caughtUp('99999999999999-0', { timeout: FOREVER })
          .catch(() => undefined);
        await app.close();
      });
      expect(traces).toEqual(NOTHING_LEFT);
    },
  );

  it('while it waits for a connection to read the journal', async () => {
    const server = await startServer();
    let port = server.port;
    const channel = uniqueChannel();
    const hand = new Hand(server, channel);
    await hand.redis.ping();
    const traces = await tracesOf(async () => {
      const app = await startApp({
        connection: connectionTo((isSubscription) =>
          isSubscription ? server.port : port,
        ),
        channel,
        heartbeatTimeout: FOREVER,
        shutdownTimeout: 50,
      });
      await hand.say('before');
      await eventually(() => expect(app.messages).toHaveLength(1));
      port = 1;
      await hand.redis.call('CLIENT', 'KILL', 'TYPE', 'normal');
      await hand.killSubscriptions();
      await eventually(() =>
        expect(app.subscriber.status.state).toBe('catching-up'),
      );
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  it.each([
    ['commands', 'its own', (links: Links) => links.connection],
    ['commands', "the application's", clientOn],
    ['subscription', 'its own', (links: Links) => links.connection],
  ] as const)(
    'while a heartbeat waits for the %s connection, with %s client',
    async (link, _, connection) => {
      const server = await startServer();
      const links = await startLinks(server);
      const given = connection(links);
      const traces = await tracesOf(async () => {
        const app = await startApp({
          connection: given,
          heartbeatInterval: 20,
          heartbeatTimeout: FOREVER,
          maxStaleness: 3 * FOREVER,
          shutdownTimeout: 50,
        });
        links[link].swallow();
        await eventually(() =>
          expect(links[link].swallowed).toBeGreaterThan(0),
        );
        await app.close();
      });
      expect(traces).toEqual(NOTHING_LEFT);
    },
  );

  it('with a client of the application, whose listeners stay as they were', async () => {
    const client = new Redis(inject('redisUrl'));
    onTestFinished(() => client.disconnect());
    await client.ping();
    const before = listeners(client);

    const traces = await tracesOf(async () => {
      for (let i = 0; i < 12; i++) {
        const app = await startApp({ connection: client });
        await app.publisher.invalidateUser('1');
        await app.close();
      }
    });
    expect(traces).toEqual(NOTHING_LEFT);

    expect(listeners(client)).toEqual(before);
  });

  itOnRedisServer('on a cluster', async () => {
    const cluster = await startCluster();
    onTestFinished(() => cluster.stop());
    const client = new Cluster(cluster.nodes, { slotsRefreshInterval: 0 });
    onTestFinished(() => client.disconnect());
    await client.set('key', 'value');
    // The pool connects to nodes on demand, so all of them are used once.
    await Promise.all(client.nodes('all').map((node) => node.ping()));
    const before = listeners(client);

    const traces = await tracesOf(async () => {
      for (const connection of [
        client,
        { cluster: { nodes: cluster.nodes } },
      ]) {
        const app = await startApp({ connection });
        await app.publisher.invalidateUser('1');
        await app.close();
      }
    });
    expect(traces).toEqual(NOTHING_LEFT);

    expect(listeners(client)).toEqual(before);
  });

  itOnRedisServer('on an unreachable cluster', async () => {
    const traces = await tracesOf(async () => {
      const nodes = [{ host: '127.0.0.1', port: 1 }];
      const app = await startApp({
        connection: { cluster: { nodes } },
        startupTimeout: 50,
        shutdownTimeout: 50,
      });
      await app.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });
});

describe('Closing a RedisTransport releases sockets, timers and listeners', () => {
  it.each([
    ['while it connects', () => inject('redisUrl')],
    ['while nobody answers', () => NOWHERE],
  ])('%s', async (_, url) => {
    const traces = await tracesOf(async () => {
      const transport = new RedisTransport({
        connection: url(),
        channel: uniqueChannel(),
        journal: { maxLength: 100 },
        sharded: false,
        maxMessageBytes: 1_048_576,
      });
      transport.start(new RecordingListener());
      void transport.publish(['payload']);
      await transport.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });

  it('without a start, after a publish opened the connection', async () => {
    const traces = await tracesOf(async () => {
      const transport = new RedisTransport({
        connection: inject('redisUrl'),
        channel: uniqueChannel(),
        journal: { maxLength: 100 },
        sharded: false,
        maxMessageBytes: 1_048_576,
      });
      await transport.publish(['payload']);
      await transport.close();
    });
    expect(traces).toEqual(NOTHING_LEFT);
  });
});

describe('A Node.js process', () => {
  it.each([
    ['where Redis is', () => inject('redisUrl')],
    ['where Redis is not', () => NOWHERE],
  ])(
    'exits after its application is closed, %s',
    async (_, url) => {
      const folder = await compileLibrary();
      const main = join(folder, 'main.js');
      await writeFile(main, PROGRAM);

      const child = spawn(process.execPath, [main, url()], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      onTestFinished(() => void child.kill());
      let output = '';
      child.stdout.on('data', (chunk) => (output += chunk));
      const [code] = await once(child, 'exit');

      expect(output).toBe('closed\n');
      expect(code).toBe(0);
      // Compiling the library takes long on a busy machine.
    },
    30_000,
  );
});

const PROGRAM = `
  import 'reflect-metadata';
  import { Module } from '@nestjs/common';
  import { NestFactory } from '@nestjs/core';
  import { CacheInvalidationModule, InvalidationPublisher } from './lib/index.js';

  class AppModule {}
  Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: process.argv[2],
        serviceName: 'short-lived',
        startupTimeout: 100,
        shutdownTimeout: 100,
      }),
    ],
  })(AppModule);

  const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
  await app.get(InvalidationPublisher).invalidateUser('1');
  await app.close();
  console.log('closed');
`;

/** Compiles the library file by file, for a process of its own without vitest. */
async function compileLibrary(): Promise<string> {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const folder = await mkdtemp(join(tmpdir(), 'cache-invalidation-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  const files = await readdir(join(root, 'lib'), { recursive: true });
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    const source = await readFile(join(root, 'lib', file), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        verbatimModuleSyntax: false,
      },
    });
    const target = join(folder, 'lib', file.replace(/ts$/, 'js'));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
  }
  return folder;
}
