import { ValidationPipe, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OperationsModule } from './operations/operations.module.js';
import { RedisLink } from './operations/redis.link.js';
import { HOST, SERVICES, urlVariableOf, type ServiceName } from './services.js';

/**
 * Runs one service as a process: on its own, or forked by the demo, which is
 * told the URL and whose end is the end of the service too.
 */
export async function serve(name: ServiceName, module: Type): Promise<void> {
  const parent = new Parent();
  // What a deployment would say, for who starts the service by hand.
  process.env['CACHE_INVALIDATION_SERVICE_NAME'] ??= name;
  const link = await openLink();
  const app = await NestFactory.create(OperationsModule.around(module, link), {
    // Clients keep their connections open, and none of them must hold up the end.
    forceCloseConnections: true,
  });
  app.useGlobalPipes(
    new ValidationPipe({
      whitelist: true,
      forbidNonWhitelisted: true,
    }),
  );
  app.enableShutdownHooks();
  await app.listen(process.env['PORT'] ?? SERVICES[name], HOST);
  const url = await app.getUrl();
  // The gateway asks itself as it asks the others, wherever PORT has put it.
  process.env[urlVariableOf(name)] ??= url;
  parent.serving(url, () => app.close());
}

/** For who may cut this service off: the demo says so, and nobody else should. */
async function openLink(): Promise<RedisLink | null> {
  if (process.env['SAMPLE_APP_CONTROLS'] !== 'on') return null;
  const redisUrl = process.env['REDIS_URL'] ?? `redis://${HOST}`;
  if (!redisUrl.startsWith('redis:')) return null;
  const link = await RedisLink.open(redisUrl);
  process.env['REDIS_URL'] = link.url;
  return link;
}

/** The process that forked this one, if any. */
class Parent {
  #close: (() => Promise<void>) | null = null;

  constructor() {
    if (process.send === undefined) return;
    // It may have gone while this process was still loading its modules.
    if (!process.connected) process.exit();
    process.once('disconnect', () => void this.#stop());
  }

  serving(url: string, close: () => Promise<void>): void {
    this.#close = close;
    process.send?.({ url });
  }

  /** Half an application cannot be closed, and has nothing to lose. */
  async #stop(): Promise<void> {
    await this.#close?.();
    process.exit();
  }
}
