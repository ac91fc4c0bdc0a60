import { ValidationPipe, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HOST, SERVICES, type ServiceName } from './services.js';

/**
 * Runs one service as a process: on its own, or forked by the demo, which is
 * told the URL and whose end is the end of the service too.
 */
export async function serve(name: ServiceName, module: Type): Promise<void> {
  const parent = new Parent();
  // What a deployment would say, for who starts the service by hand.
  process.env['CACHE_INVALIDATION_SERVICE_NAME'] ??= name;
  const app = await NestFactory.create(module, {
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
  parent.serving(await app.getUrl(), () => app.close());
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
