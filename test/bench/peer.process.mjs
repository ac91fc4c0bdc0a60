/**
 * A process that publishes or keeps entries, with one of the compared libraries:
 * `node peer.process.mjs KIND URL`. Its parent sends it one order at a time.
 */
import 'reflect-metadata';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { inFlight } from './measure.mjs';

const LANES = 256;
const BURSTS_IN_FLIGHT = 4;
/** Messages a second up to which the publisher sleeps between two of them. */
const SLEEPING_RATE = 500;

const [kind, url] = process.argv.slice(2);
const CHANNEL = `bench:peer:${kind}`;

/** Times at which entries have left the memory, by key. */
let gone = [];
let left = 0;
/** Whether the time of each entry is wanted, and not only of the last one. */
let isTimed = true;

const now = () => Number(process.hrtime.bigint()) / 1e3;

function onGone(key) {
  if (left === 0 || gone[key] !== 0) return;
  left--;
  gone[key] = now();
  if (left === 0) process.send({ times: gone, cpu: spent() });
}

function onEmpty() {
  process.send({ times: [now()], cpu: spent() });
}

let cpu = process.cpuUsage();
function spent() {
  const { user, system } = process.cpuUsage(cpu);
  return user + system;
}

/** A map that tells when an entry has left it, or when the last one has. */
class WatchedMap extends Map {
  delete(key) {
    const deleted = super.delete(key);
    if (deleted && isTimed) onGone(key.slice(key.indexOf(':') + 1));
    else if (deleted && this.size === 0) onEmpty();
    return deleted;
  }
}

/** Each library as in its documentation: keep a key, invalidate a key. */
const PEERS = {
  'ioredis 6': () => raw('ioredis'),
  'ioredis 5': () => raw('ioredis-5'),
  'layered-loader': layeredLoader,
  cacheable,
  bentocache,
  'ours without journal': () => ours({ journal: false }),
  ours: () => ours({}),
  'ours, coalesce': () => ours({ coalesce: true }),
};

async function raw(name) {
  const { Redis } = await import(name);
  const [redis, subscriber] = [new Redis(url), new Redis(url)];
  const map = new WatchedMap();
  subscriber.on('message', (_, payload) => map.delete(JSON.parse(payload).key));
  await subscriber.subscribe(CHANNEL);
  return {
    keep: (key) => map.set(`user:${key}`, key),
    invalidate: (key) =>
      redis.publish(CHANNEL, JSON.stringify({ key: `user:${key}` })),
  };
}

async function ours(options) {
  const { Module } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const {
    CacheInvalidationModule,
    InvalidationPublisher,
    InvalidationSubscriber,
  } = await import('nestjs-cache-invalidation');
  class AppModule {}
  Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: url,
        serviceName: 'bench',
        channel: CHANNEL,
        // A busy machine must not move messages to the outbox.
        publishTimeout: 10_000,
        ...options,
      }),
    ],
  })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: ['error', 'warn'],
  });
  const map = new WatchedMap();
  app.get(InvalidationSubscriber).bind(map);
  const publisher = app.get(InvalidationPublisher);
  return {
    keep: (key) => map.set(`user:${key}`, key),
    invalidate: (key) => publisher.invalidate('User', key),
  };
}

async function layeredLoader() {
  const { Redis } = await import('ioredis');
  const { createNotificationPair, Loader } = await import('layered-loader');
  const { publisher, consumer } = createNotificationPair({
    channel: CHANNEL,
    publisherRedis: new Redis(url),
    consumerRedis: new Redis(url),
  });
  const loader = new Loader({
    inMemoryCache: { maxItems: 100_000, ttlInMsecs: 3_600_000 },
    notificationConsumer: consumer,
    notificationPublisher: publisher,
  });
  await loader.init();
  const memory = loader.inMemoryCache;
  const forget = memory.delete.bind(memory);
  memory.delete = (key) => {
    forget(key);
    onGone(key);
  };
  return {
    keep: (key) => memory.set(key, key),
    // The promise of the loader does not wait for Redis; that of its publisher does.
    invalidate: (key) => publisher.delete(key),
  };
}

async function cacheable() {
  const { Cacheable, CacheableSync } = await import('cacheable');
  const { RedisMessageProvider } = await import('@qified/redis');
  const provider = new RedisMessageProvider({ uri: url });
  await provider.connect();
  const cache = new Cacheable({
    sync: new CacheableSync({ qified: provider, namespace: CHANNEL }),
  });
  const { primary } = cache;
  const forget = primary.delete.bind(primary);
  primary.delete = async (key) => {
    const deleted = await forget(key);
    onGone(key);
    return deleted;
  };
  return {
    keep: (key) => cache.primary.set(key, key),
    invalidate: (key) => cache.delete(key),
  };
}

async function bentocache() {
  const { BentoCache, bentostore } = await import('bentocache');
  const { memoryDriver } = await import('bentocache/drivers/memory');
  const { redisBusDriver } = await import('bentocache/drivers/redis');
  const { hostname: host, port } = new URL(url);
  const cache = new BentoCache({
    default: 'memory',
    prefix: CHANNEL,
    stores: {
      memory: bentostore()
        .useL1Layer(memoryDriver({ maxItems: 100_000 }))
        .useBus(redisBusDriver({ connection: { host, port: Number(port) } })),
    },
  });
  cache.on('bus:message:received', ({ message: { keys } }) =>
    // bentocache deletes them in the rest of this call.
    queueMicrotask(() => keys.forEach(onGone)),
  );
  return {
    keep: (key) => cache.set({ key, value: key, ttl: '1h' }),
    invalidate: (key) => cache.delete({ key }),
  };
}

const { keep, invalidate } = await PEERS[kind]();

async function publish({ publish: count, rate, burst }) {
  const times = [];
  const one = (at) => {
    if (isTimed || at === 0) times[at] = now();
    return invalidate(String(at));
  };
  cpu = process.cpuUsage();
  if (burst !== undefined) await bursts(count, burst, one);
  else if (rate === null) await inFlight(count, LANES, one);
  else await paced(count, rate, one);
  process.send({ times, cpu: spent() });
}

/** Calls of one tick at a time, and some of these bursts in flight. */
function bursts(count, size, one) {
  return inFlight(count / size, BURSTS_IN_FLIGHT, (burst) =>
    Promise.all(
      Array.from({ length: size }, (_, at) => one(burst * size + at)),
    ),
  );
}

async function paced(count, rate, one) {
  const start = performance.now();
  for (let at = 0; at < count; at++) {
    const due = start + (at * 1_000) / rate;
    if (rate <= SLEEPING_RATE) {
      await sleep(Math.max(0, due - performance.now()));
    } else while (performance.now() < due) await setImmediate();
    void one(at);
  }
}

async function fill(count) {
  gone = Array.from({ length: count }, () => 0);
  left = 0;
  for (let at = 0; at < count; at++) await keep(String(at));
  left = count;
  cpu = process.cpuUsage();
  process.send({});
}

process.on('message', (order) => {
  isTimed = order.burst === undefined;
  if (order.fill !== undefined) void fill(order.fill);
  else void publish(order);
});
process.on('disconnect', () => process.exit(0));
process.send({});
