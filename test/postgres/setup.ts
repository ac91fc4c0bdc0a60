import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import {
  CacheInvalidationPostgresModule,
  PostgresSource,
  type CacheInvalidationPostgresOptions,
} from 'nestjs-cache-invalidation/postgres';
import {
  said,
  startApp,
  type AppOptions,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type PostgresServer } from '../support/postgres.js';

export interface SourceApp extends TestApp {
  readonly source: PostgresSource;
  /** Invalidations that have arrived, in short form. */
  readonly said: string[];
  /** Resolves with the invalidations that arrived since the last call. */
  next(count?: number): Promise<string[]>;
}

/** A server for the file, started before its tests. */
export function useServer(
  settings: Record<string, string> = {},
): () => PostgresServer {
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await startPostgres(settings);
  }, 60_000);
  afterAll(() => server?.stop());
  return () => server!;
}

/** A name that no other test has, for slots and publications. */
export function uniqueName(): string {
  return `t_${randomBytes(6).toString('hex')}`;
}

/** Starts an application with the source in it; quick, unless told otherwise. */
export async function startSourceApp(
  options: CacheInvalidationPostgresOptions,
  app: AppOptions = {},
): Promise<SourceApp> {
  const slot = uniqueName();
  const started = await startApp({
    ...app,
    imports: [
      ...(app.imports ?? []),
      CacheInvalidationPostgresModule.forRoot({
        slot,
        publication: options.slot ?? slot,
        heartbeat: 100,
        ...options,
      }),
    ],
  });
  let seen = 0;
  return {
    ...started,
    source: started.context.get(PostgresSource),
    get said() {
      return started.messages.map(said);
    },
    next: async (count = 1) => {
      await eventually(() => {
        if (started.messages.length < seen + count) {
          throw new Error(
            `Only ${started.messages.slice(seen).map(said).join(' ')}`,
          );
        }
      });
      const arrived = started.messages.slice(seen).map(said);
      seen += arrived.length;
      return arrived;
    },
  };
}

/**
 * Starts a source that is the holder, and has published its first widening.
 *
 * @param types number of mapped types
 */
export async function startHolder(
  options: CacheInvalidationPostgresOptions,
  app: AppOptions = {},
  types = 1,
): Promise<SourceApp> {
  const started = await startSourceApp(options, app);
  await eventually(() => {
    const { state, fault } = started.source.status();
    if (state !== 'holder') throw fault ?? new Error(state);
  });
  await started.next(types);
  return started;
}
