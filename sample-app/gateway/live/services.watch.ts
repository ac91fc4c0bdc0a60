import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceState } from '../../shared/operations/service.state.js';
import { ServiceClient } from '../../shared/service.client.js';
import {
  SERVICES,
  urlVariableOf,
  type InstanceName,
} from '../../shared/services.js';
import type { ServiceView } from './frame.js';

const INTERVAL_MS = 500;

/** A service that has not answered by then is away. */
const TIMEOUT_MS = 2_000;

interface Seen extends ServiceView {
  readonly version: number;
}

/** Queries the state of each service repeatedly, while a page is open. */
@Injectable()
export class ServicesWatch implements OnModuleDestroy {
  readonly names: readonly InstanceName[];
  readonly #seen = new Map<InstanceName, Seen>();
  #version = 0;
  #watching: AbortController | null = null;

  constructor(
    config: ConfigService,
    private readonly services: ServiceClient,
  ) {
    const names = Object.keys(SERVICES) as InstanceName[];
    const isSecond = config.get<string>(urlVariableOf('gateway-2'));
    this.names = isSecond ? [...names, 'gateway-2'] : names;
    this.#forget();
  }

  get version(): number {
    return this.#version;
  }

  start(): void {
    this.#watching = new AbortController();
    for (const name of this.names) {
      void this.#follow(name, this.#watching.signal);
    }
  }

  stop(): void {
    this.#watching?.abort();
    this.#watching = null;
    this.#forget();
  }

  onModuleDestroy(): void {
    this.stop();
  }

  /** Services whose state was received after the given version. */
  after(version: number): ServiceView[] {
    return [...this.#seen.values()]
      .filter((seen) => seen.version > version)
      .map(({ name, state }) => ({ name, state }));
  }

  /** The gateways whose link to Redis is cut now. */
  get cutGateways(): InstanceName[] {
    return [...this.#seen.values()]
      .filter(({ name }) => name.startsWith('gateway'))
      .filter(({ state }) => typeof state === 'object' && state.link === 'cut')
      .map(({ name }) => name);
  }

  async look(name: InstanceName): Promise<void> {
    this.#saw(name, await this.#ask(name));
  }

  /** Queries all services before the first page opens, which would have to wait. */
  lookAhead(): void {
    if (this.#watching !== null) return;
    for (const name of this.names) void this.look(name);
  }

  #ask(name: InstanceName): Promise<ServiceState | 'away'> {
    return this.services
      .get<ServiceState>(name, '/state', TIMEOUT_MS)
      .catch(() => 'away');
  }

  #saw(name: InstanceName, state: ServiceView['state']): void {
    this.#seen.set(name, { name, state, version: ++this.#version });
  }

  /** Drops all states: they will be outdated when the next page opens. */
  #forget(): void {
    for (const name of this.names) this.#saw(name, 'asked');
  }

  async #follow(name: InstanceName, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const state = await this.#ask(name);
      if (!signal.aborted) this.#saw(name, state);
      await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
