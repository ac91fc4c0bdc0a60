import {
  Injectable,
  NotFoundException,
  type OnModuleDestroy,
} from '@nestjs/common';
import { keysOf, type InvalidationMessage } from 'nestjs-cache-invalidation';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceClient } from '../../shared/service.client.js';
import type { InstanceName } from '../../shared/services.js';
import type { CutCopy } from './frame.js';
import { PageBus } from './page.bus.js';
import { ServicesWatch } from './services.watch.js';

/** Rows that are compared: the last ones that changed. */
const KEPT = 4;
const INTERVAL_MS = 1_000;
/** Limit of the copies that are shown. */
const SHOWN = 8;
/** How long the page shows that a copy is fresh again. */
const FRESH_MS = 15_000;
const TIMEOUT_MS = 2_000;
/** Characters of a name that are shown. */
const NAME_SHOWN = 60;

/** Services that own rows with copies to compare, by entity type. */
const OWNERS: Readonly<Record<string, { owner: InstanceName; path: string }>> =
  {
    user: { owner: 'user-service', path: 'users' },
    post: { owner: 'content-service', path: 'posts' },
  };

type Pair = Pick<CutCopy, 'gateway' | 'key'>;

interface Seen {
  readonly copy: CutCopy;
  /** When the copy was found to be fresh again, by `performance.now()`. */
  readonly freshAt: number | null;
}

/**
 * Old copies that a gateway serves while it is cut off from Redis: its answers to
 * ordinary reads are compared with the rows, while a page is open.
 */
@Injectable()
export class CutCopies implements OnModuleDestroy {
  readonly #changed = new Set<string>();
  readonly #seen = new Map<string, Seen>();
  readonly #subscription;
  #version = 0;
  #comparing: AbortController | null = null;

  constructor(
    bus: PageBus,
    private readonly watch: ServicesWatch,
    private readonly services: ServiceClient,
  ) {
    this.#subscription = bus.subscriber.messages$.subscribe((message) =>
      this.#note(message),
    );
  }

  get version(): number {
    return this.#version;
  }

  /** All copies, if any has changed after the given version; else `null`. */
  after(version: number): CutCopy[] | null {
    if (version === this.#version) return null;
    return [...this.#seen.values()].map(({ copy }) => copy);
  }

  start(): void {
    this.#comparing = new AbortController();
    void this.#follow(this.#comparing.signal);
  }

  stop(): void {
    this.#comparing?.abort();
    this.#comparing = null;
    if (this.#seen.size === 0) return;
    this.#seen.clear();
    this.#version++;
  }

  onModuleDestroy(): void {
    this.#subscription.unsubscribe();
    this.stop();
  }

  #note(message: InvalidationMessage): void {
    for (const key of keysOf(message)?.slice(0, KEPT) ?? []) {
      if (!/^(user|post):\d{1,9}$/.test(key)) continue;
      // The row that changed last is dropped last.
      this.#changed.delete(key);
      this.#changed.add(key);
      if (this.#changed.size <= KEPT) continue;
      const [oldest] = this.#changed;
      this.#changed.delete(oldest!);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await Promise.all(
        this.#pairs().map((pair) => this.#compare(pair, signal)),
      );
      await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Pairs to compare: copies that are shown, and every changed row on every gateway that is cut off. */
  #pairs(): Pair[] {
    const pairs = new Map<string, Pair>();
    for (const [name, { copy }] of this.#seen) pairs.set(name, copy);
    for (const gateway of this.watch.cutGateways) {
      for (const key of this.#changed) {
        if (pairs.size < SHOWN)
          pairs.set(`${gateway} ${key}`, { gateway, key });
      }
    }
    return [...pairs.values()];
  }

  async #compare({ gateway, key }: Pair, signal: AbortSignal): Promise<void> {
    const [type, id] = key.split(':') as [string, string];
    const { owner, path } = OWNERS[type]!;
    const served = await this.#read(gateway, `/${path}/${id}`);
    const row = await this.#read(owner, `/${path}/${id}`);
    if (signal.aborted || served === null || row === null) return;
    const isOld = served !== row;
    this.#saw({ gateway, key, owner, served, row, isOld });
  }

  #saw(copy: CutCopy): void {
    const name = `${copy.gateway} ${copy.key}`;
    const before = this.#seen.get(name);
    if (before === undefined && !copy.isOld) return;
    const now = performance.now();
    const freshAt = copy.isOld ? null : (before?.freshAt ?? now);
    if (freshAt !== null && now - freshAt > FRESH_MS) this.#seen.delete(name);
    else this.#seen.set(name, { copy, freshAt });
    const isSame =
      before?.copy.served === copy.served && before.copy.row === copy.row;
    if (!isSame || !this.#seen.has(name)) this.#version++;
  }

  /** @returns `null` if the service does not answer */
  #read(from: InstanceName, path: string): Promise<string | null> {
    return this.services
      .get<Row>(from, path, TIMEOUT_MS)
      .then(described, (error: unknown) =>
        error instanceof NotFoundException ? 'gone' : null,
      );
  }
}

interface Row {
  readonly name?: string;
  readonly title?: string;
  readonly version: number;
}

function described({ name, title, version }: Row): string {
  const text = String(name ?? title);
  const start =
    text.length <= NAME_SHOWN ? text : `${text.slice(0, NAME_SHOWN - 1)}…`;
  return `“${start}”, version ${version}`;
}
