import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Controller, Inject, Injectable, Module } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import {
  GrpcMethod,
  KafkaContext,
  MqttContext,
  NatsContext,
  RmqContext,
  Transport,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import {
  CacheInvalidationModule,
  InvalidatesCache,
  InvalidationSubscriber,
} from 'nestjs-cache-invalidation';
import {
  OFFSET_HEADER,
  ReadYourWritesInterceptor,
} from 'nestjs-cache-invalidation/http';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { carrierOf } from '../../lib/http/offset-carrier.js';
import { startProxy } from '../support/proxy.js';

const PROTO = `
syntax = "proto3";
package users;
message Id { string id = 1; }
message Version { int32 version = 1; }
service Users {
  rpc Find (Id) returns (Version);
  rpc Write (Id) returns (Version);
  rpc Fail (Id) returns (Version);
}`;

/** Rows that all instances share. */
const rows = new Map<string, number>();

@Injectable()
class Users {
  readonly cache = new Map<string, number>();

  constructor(
    @Inject(InvalidationSubscriber) subscriber: InvalidationSubscriber,
  ) {
    subscriber.bind(this.cache);
  }

  find(id: string): number {
    const key = `user:${id}`;
    const version = this.cache.get(key) ?? rows.get(id) ?? 0;
    this.cache.set(key, version);
    return version;
  }

  @InvalidatesCache('User', (id: string) => id)
  async write(id: string): Promise<number> {
    const version = (rows.get(id) ?? 0) + 1;
    rows.set(id, version);
    return version;
  }
}

interface Id {
  readonly id: string;
}

@Controller()
class UsersController {
  constructor(@Inject(Users) private readonly users: Users) {}

  @GrpcMethod('Users', 'Find')
  find({ id }: Id): { version: number } {
    return { version: this.users.find(id) };
  }

  @GrpcMethod('Users', 'Write')
  async write({ id }: Id): Promise<{ version: number }> {
    return { version: await this.users.write(id) };
  }

  @GrpcMethod('Users', 'Fail')
  async fail({ id }: Id): Promise<never> {
    await this.users.write(id);
    throw new Error('after the write');
  }
}

type Method = (
  request: Id,
  metadata: Metadata,
  answered: (error: Error | null, answer?: { version: number }) => void,
) => { on(event: 'metadata', heard: (metadata: Metadata) => void): void };

let folder = '';
const protoPath = (): string => join(folder, 'users.proto');
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'grpc-'));
  writeFileSync(protoPath(), PROTO);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function serve(channel: string, connection = inject('redisUrl')) {
  @Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection,
        channel,
        serviceName: 'users',
      }),
    ],
    controllers: [UsersController],
    providers: [
      Users,
      { provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor },
    ],
  })
  class AppModule {}
  const port = await freePort();
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule,
    {
      logger: false,
      transport: Transport.GRPC,
      options: {
        package: 'users',
        protoPath: protoPath(),
        url: `127.0.0.1:${port}`,
      },
    },
  );
  await app.listen();
  onTestFinished(() => app.close());
  const loaded = loadPackageDefinition(loadSync(protoPath())) as never as {
    users: { Users: new (url: string, how: unknown) => Record<string, Method> };
  };
  const client = new loaded.users.Users(
    `127.0.0.1:${port}`,
    credentials.createInsecure(),
  );
  onTestFinished(() => (client as never as { close(): void }).close());
  return (method: 'find' | 'write' | 'fail', id: string, offset?: string) => {
    const metadata = new Metadata();
    if (offset !== undefined) metadata.set(OFFSET_HEADER, offset);
    let told: unknown;
    return new Promise<{ version: number | undefined; offset: unknown }>(
      (resolve) => {
        const call = client[method]!({ id }, metadata, (_error, answer) =>
          resolve({ version: answer?.version, offset: told }),
        );
        call.on('metadata', (heard) => {
          [told] = heard.get(OFFSET_HEADER);
        });
      },
    );
  };
}

describe('ReadYourWritesInterceptor with gRPC', () => {
  it('makes a read on a slow instance wait for a write on another', async () => {
    const channel = randomUUID();
    const proxy = await startProxy(Number(new URL(inject('redisUrl')).port));
    onTestFinished(() => proxy.close());
    const fast = await serve(channel);
    const slow = await serve(channel, proxy.url);
    const id = randomUUID();
    expect((await slow('find', id)).version).toBe(0);

    proxy.swallow('down');
    const written = await fast('write', id);
    expect(written).toEqual({
      version: 1,
      offset: expect.stringMatching(/^\d+-\d+$/) as string,
    });
    expect((await slow('find', id)).version).toBe(0);
    const reading = slow('find', id, written.offset as string);
    proxy.pass();
    proxy.cut();
    expect(await reading).toEqual({ version: 1, offset: undefined });
  });

  it('returns the offset of a call that failed after its write', async () => {
    const ask = await serve(randomUUID());
    const { version, offset } = await ask('fail', randomUUID());
    expect({ version, offset }).toEqual({
      version: undefined,
      offset: expect.stringMatching(/^\d+-\d+$/) as string,
    });
  });

  it('ignores invalid offsets in the metadata', async () => {
    const ask = await serve(randomUUID());
    for (const offset of ['garbage', '99999999999999-0']) {
      expect((await ask('find', randomUUID(), offset)).version).toBe(0);
    }
  });
});

describe('carrierOf(): transports of microservices', () => {
  const OFFSET = '1763846400000-5';
  const headers = { [OFFSET_HEADER]: OFFSET };
  const contexts = {
    RabbitMQ: new RmqContext([{ properties: { headers } }, null, 'pattern']),
    'RabbitMQ without headers': new RmqContext([
      { properties: {} },
      null,
      'pattern',
    ]),
    Kafka: new KafkaContext([
      { headers } as never,
      0,
      'topic',
      null as never,
      null as never,
      null as never,
    ]),
    'Kafka in bytes': new KafkaContext([
      { headers: { [OFFSET_HEADER]: Buffer.from(OFFSET) } } as never,
      0,
      'topic',
      null as never,
      null as never,
      null as never,
    ]),
    NATS: new NatsContext([
      'subject',
      { get: (name: string) => (name === OFFSET_HEADER ? OFFSET : '') },
    ]),
    'MQTT 5': new MqttContext([
      'topic',
      { properties: { userProperties: headers } },
    ]),
    'MQTT 5 without headers': new MqttContext([
      'topic',
      { properties: { userProperties: null } },
    ]),
    'MQTT 3': new MqttContext(['topic', {}]),
    TCP: {},
    'nobody knows': undefined,
  };

  it.each(Object.entries(contexts))(
    'reads the offset of a message: %s',
    (name, context) => {
      const args = [{}, context];
      const carrier = carrierOf(
        {
          getType: () => 'rpc',
          getArgs: () => args,
        } as never,
        () => expect.unreachable(),
      )!;
      const has = !/without|3|TCP|nobody/.test(name);
      expect(carrier.asked).toBe(has ? OFFSET : undefined);
      expect(carrier.answer).toBeNull();
    },
  );
});

it.each([undefined, null])(
  'carrierOf() accepts a gRPC call whose metadata is %s',
  (metadata) => {
    const call = { sendMetadata: () => expect.unreachable() };
    const carrier = carrierOf(
      { getType: () => 'rpc', getArgs: () => [{}, metadata, call] } as never,
      () => expect.unreachable(),
    )!;
    expect(carrier).toMatchObject({ asked: undefined, answer: null });
    carrier.tell('1-1');
  },
);

it('carrierOf() returns null for a GraphQL context that throws', () => {
  const given = {
    get req(): never {
      throw new Error('not here');
    },
  };
  const context = { getType: () => 'graphql', getArgByIndex: () => given };
  expect(carrierOf(context as never, () => expect.unreachable())).toBeNull();
});

describe('carrierOf(): Mercurius', () => {
  it('sets the header of the reply', () => {
    const set: unknown[] = [];
    const reply = {
      header: () => undefined,
      request: { headers: { [OFFSET_HEADER]: 'asked' } },
    };
    const carrier = carrierOf(
      {
        getType: () => 'graphql',
        getArgByIndex: (index: number) => [{}, {}, { reply }, {}][index],
      } as never,
      (...given) => set.push(given),
    )!;
    expect(carrier.asked).toBe('asked');
    carrier.tell('1-1');
    expect(set).toEqual([[reply, OFFSET_HEADER, '1-1']]);
  });

  it.each([[undefined], [{}], [{ req: { headers: {} }, res: {} }]])(
    'sets no header for a subscription: %j',
    (given) => {
      const carrier = carrierOf(
        {
          getType: () => 'graphql',
          getArgByIndex: () => given,
        } as never,
        () => expect.unreachable(),
      )!;
      expect(carrier).toMatchObject({ asked: undefined, answer: null });
      carrier.tell('1-1');
    },
  );
});
