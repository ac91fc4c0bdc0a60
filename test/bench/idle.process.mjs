/** The memory of an idle Nest application: `node --expose-gc idle.process.mjs without|clients|with URL`. */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

const [mode, url] = process.argv.slice(2);
class AppModule {}
if (mode === 'with') {
  const { CacheInvalidationModule } = await import('nestjs-cache-invalidation');
  Module({
    imports: [
      CacheInvalidationModule.forRoot({
        connection: url,
        serviceName: 'bench',
      }),
    ],
  })(AppModule);
} else Module({})(AppModule);
if (mode === 'clients') {
  const { Redis } = await import('ioredis');
  const [commands, subscription] = [new Redis(url), new Redis(url)];
  await commands.ping();
  await subscription.subscribe('bench:idle');
}

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, '127.0.0.1');
// Two rounds, so that V8 can return what the first one freed: garbage from
// loading the code is not memory that an idle application needs.
for (let i = 0; i < 2; i++) {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  globalThis.gc();
}
await new Promise((resolve) => setTimeout(resolve, 500));
const { rss, heapUsed } = process.memoryUsage();
process.stdout.write(
  JSON.stringify({ rss: rss / 2 ** 20, heap: heapUsed / 2 ** 20 }),
);
await app.close();
process.exit(0);
