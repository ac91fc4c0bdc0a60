import { ValidationPipe, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OperationsModule } from './operations/operations.module.js';
import { RedisLink } from './operations/redis.link.js';
import { HOST, SERVICES, urlVariableOf, type ServiceName } from './services.js';

/**
 * Runs one service as a process: by hand, or forked by the demo. A forked service
 * sends its URL to the demo, and ends with it.
 */
export async function serve(name: ServiceName, module: Type): Promise<void> {
  const parent = new Parent();
  // Defaults for a service that is started by hand; a deployment would set them.
  process.env['CACHE_INVALIDATION_SERVICE_NAME'] ??= name;
  const link = await openLink();
  const app = await NestFactory.create(OperationsModule.around(module, link), {
    // Clients keep their connections open, which must not delay the shutdown.
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
  // The gateway queries itself like the others, whichever PORT it has.
  process.env[urlVariableOf(name)] ??= url;
  parent.serving(url, () => app.close());
}

/** Whether this service may be cut off: only the demo should set this. */
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
    // The parent may have gone while this process was loading its modules.
    if (!process.connected) process.exit();
    process.once('disconnect', () => void this.#stop());
  }

  serving(url: string, close: () => Promise<void>): void {
    this.#close = close;
    process.send?.({ url });
  }

  /** Closes the application, unless it has not started: then it has nothing to lose. */
  async #stop(): Promise<void> {
    await this.#close?.();
    process.exit();
  }
}
