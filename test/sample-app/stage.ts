import {
  ValidationPipe,
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { inject } from 'vitest';
import { OperationsModule } from '../../sample-app/shared/operations/operations.module.js';
import { RedisLink } from '../../sample-app/shared/operations/redis.link.js';
import {
  HOST,
  INSTANCE_PORTS,
  urlVariableOf,
  type InstanceName,
} from '../../sample-app/shared/services.js';
import { uniqueChannel } from '../support/app.js';

/** An address without a listener. */
const NOWHERE = `http://${HOST}:1`;

/** Services of the sample app in this process, each with a link of its own. */
export class Stage {
  readonly channel = uniqueChannel();
  readonly #closing: (() => Promise<void>)[] = [];
  readonly #variables = new Set<string>();

  constructor() {
    this.set('CACHE_INVALIDATION_CHANNEL', this.channel);
    this.set('GATEWAY_L2_PREFIX', this.channel);
    for (const name of Object.keys(INSTANCE_PORTS) as InstanceName[]) {
      if (name !== 'gateway-2') this.set(urlVariableOf(name), NOWHERE);
    }
  }

  async start(
    name: InstanceName,
    module: Type,
    { port = 0, linked = true, redisUrl = inject('redisUrl') } = {},
  ): Promise<INestApplication> {
    const link = linked ? await RedisLink.open(redisUrl) : null;
    this.set('REDIS_URL', link?.url ?? redisUrl);
    this.set('CACHE_INVALIDATION_SERVICE_NAME', name);
    const testing = await Test.createTestingModule({
      imports: [OperationsModule.around(module, link)],
    }).compile();
    const app = testing.createNestApplication({
      logger: false,
      forceCloseConnections: true,
    });
    app.useGlobalPipes(
      new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }),
    );
    this.#closing.push(async () => {
      await app.close();
      await link?.close();
    });
    await app.listen(port, HOST);
    this.set(urlVariableOf(name), await app.getUrl());
    return app;
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.map((close) => close()));
    for (const name of this.#variables) delete process.env[name];
  }

  /** Sets a variable of the environment, until the end. */
  set(name: string, value: string): void {
    this.#variables.add(name);
    process.env[name] = value;
  }
}
