import { join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { compile, errorsIn } from './compile.js';
import { installPackage } from './installed-package.js';

/** Exports whose types the compiler has to infer and write down. */
const LIBRARY = `
import { Injectable } from '@nestjs/common';
import {
  affecting, batch, Cached, CacheInvalidationModule, DeferInvalidations, entity,
  everything, fromOthers, fromResult, InvalidatesCache, InvalidatesCachePattern,
  InvalidationHealth, InvalidationPublisher, InvalidationStats,
  InvalidationSubscriber, json, NearCacheFactory, ofEntity, OnInvalidation, pattern,
  structured, urlKeys, type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import { CacheAuditor } from 'nestjs-cache-invalidation/audit';
import { CachedRoute, ReadYourWritesInterceptor } from 'nestjs-cache-invalidation/http';
import { deferringAdapter, deferringSequelize } from 'nestjs-cache-invalidation/transactions';

interface User { readonly id: string }
declare const publisher: InvalidationPublisher;
declare const subscriber: InvalidationSubscriber;
declare const stats: InvalidationStats;
declare const health: InvalidationHealth;
declare const caches: NearCacheFactory;
declare const auditor: CacheAuditor;
declare const message: InvalidationMessage;

export const module = CacheInvalidationModule.forRoot({ serviceName: 'a' });
export const InvalidatesUser = InvalidatesCache('User', (id: string) => id);
export const InvalidatesCreated = InvalidatesCache(
  'User',
  fromResult((user: User) => user.id),
  { when: (id: string) => id !== '' },
);
export const invalidatesBy = (select: (id: string) => string) =>
  InvalidatesCache('User', select);
export const InvalidatesFeeds = InvalidatesCachePattern('feed:*');
export const CachedUser = Cached('User', (id: string) => id, { ttl: '5m' });
export const Deferred = DeferInvalidations();
export const OnUser = OnInvalidation('User');
export const id = fromResult((user: User) => user.id);
export const factory = caches;
export const users = caches.create<User>('User');
export const cacheStats = caches.stats();
export const snapshot = stats.snapshot();
export const { latency } = snapshot;
export const report = health.check();
export const one = entity('User', 1);
export const several = batch(['user:1']);
export const some = pattern('user:*');
export const all = everything();
export const { entityType, metadata, trace } = message;
export const narrowed = message.action === 'Batch' ? message : null;
export const published = () => publisher.invalidate('User', 1);
export const prepared = publisher.prepare(one);
export const subscription = subscriber.subscribe(() => {}, 'User');
export const bound = subscriber.bind(new Map<string, User>());
export const fence = subscriber.fence();
export const { messages$, status$ } = subscriber;
export const { errors$ } = subscriber;
export const operators = [ofEntity('User'), affecting('user:1'), fromOthers()];
export const serializers = { json: json(), structured: structured() };
export const keys = urlKeys({ User: '/users/:id' });
export const { stale$ } = auditor;
export const audited = auditor.report();
export const interceptor = ReadYourWritesInterceptor;
export const CachedUsers = CachedRoute('User', () => '1');
export const adapter = deferringAdapter({
  optionsFactory: () => ({
    wrapWithTransaction: async (_: unknown, work: () => Promise<User>) => work(),
  }),
});
export const sequelize = deferringSequelize({ transaction: async () => {} });

@Injectable()
export class Base {
  readonly users = caches.create<User>('User');
  readonly save = publisher;
  check() { return health.check(); }
}
`;

it(
  'a library that builds on this one can emit its declarations',
  { timeout: 120_000 },
  () => {
    const name = join(installPackage(), 'library.ts');
    const program = compile(name, LIBRARY, {
      paths: {},
      noEmit: false,
      declaration: true,
      rootDir: undefined,
    });
    expect(errorsIn(program, name)).toEqual([]);
    const file = program.getSourceFile(name)!;
    expect(
      program
        .getDeclarationDiagnostics(file)
        .map(({ messageText }) =>
          ts.flattenDiagnosticMessageText(messageText, '\n'),
        ),
    ).toEqual([]);
  },
);
