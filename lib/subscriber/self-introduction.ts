import { Injectable } from '@nestjs/common';
import { Instance } from '../message/index.js';
import { VERSION } from '../publisher/index.js';
import { InvalidationStream } from '../stream/index.js';
import { InvalidationTransport } from '../transport/index.js';

/**
 * Makes this instance known to the broker: its service, its version, and which
 * entity types it handles. Caches and handlers come and go, so they are read again
 * at every heartbeat.
 *
 * @internal
 */
@Injectable()
export class SelfIntroduction {
  #types: string | null = null;

  constructor(
    private readonly instance: Instance,
    private readonly stream: InvalidationStream,
    private readonly transport: InvalidationTransport,
  ) {}

  renew(): void {
    const handled = this.stream.handledTypes();
    const types = JSON.stringify(handled);
    if (types === this.#types) return;
    this.#types = types;
    const { serviceName, origin } = this.instance;
    const version = VERSION;
    this.transport.introduce({ serviceName, version, origin, types: handled });
  }
}
