import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const subpaths = [
  'audit',
  'http',
  'opentelemetry',
  'postgres',
  'prometheus',
  'terminus',
  'testing',
  'transactions',
  'wire',
];

/**
 * Specs that change their process, or need one that no other spec has used:
 * module mocks, faked clocks, global providers and registries, scopes left open,
 * lines logged once a process, heap and event-loop measurements. Each runs in a
 * process of its own; all other specs share one a core, which loads Nest and the
 * library once.
 */
const ISOLATED = [
  'test/audit/cache-auditor.spec.ts',
  'test/cache/bindable-cache.spec.ts',
  'test/cache/event-loop.spec.ts',
  'test/cache/l1-tier.spec.ts',
  'test/cache/near-cache.spec.ts',
  'test/cache/replica-races.spec.ts',
  'test/cache/l2-type-missing.spec.ts',
  'test/decorators/cached.spec.ts',
  'test/decorators/missing-module.spec.ts',
  'test/decorators/scopes.spec.ts',
  'test/errors/error-reporter.spec.ts',
  'test/message/timestamp.spec.ts',
  'test/module/**/*.spec.ts',
  'test/observability/stats.spec.ts',
  'test/opentelemetry/**/*.spec.ts',
  'test/prometheus/**/*.spec.ts',
  'test/publisher/process-store.spec.ts',
  'test/sample-app/**/*.spec.ts',
  'test/simulation/**/*.spec.ts',
  'test/subscriber/no-leaks.spec.ts',
  'test/testing/faults.spec.ts',
  'test/testing/unit-tests.spec.ts',
];

/** A browser costs two cores for more than a minute: `npm run test:page`. */
const PAGE = 'test/sample-app/page.spec.ts';

/** Specs of the projects that `npm run check:adopt` makes, with their own tools. */
const ADOPTED = 'test/package/adopt/**';

export const GLOBAL_SETUP = ['test/support/global-setup.ts'];

/** The part that each project has: projects take over nothing from below. */
export const project = {
  root,
  resolve: {
    alias: {
      ...Object.fromEntries(
        subpaths.map((name) => [
          `nestjs-cache-invalidation/${name}`,
          `${root}lib/${name}/index.ts`,
        ]),
      ),
      'nestjs-cache-invalidation': `${root}lib/index.ts`,
    },
  },
};
export const timeouts = { testTimeout: 30_000, hookTimeout: 30_000 };

export default defineConfig({
  root,
  test: {
    // Vitest leaves one core to itself, but specs often wait for servers.
    maxWorkers: Math.min(availableParallelism(), 8),
    // Here and not in each project, which would start a server of its own.
    globalSetup: GLOBAL_SETUP,
    projects: [
      {
        ...project,
        test: {
          ...timeouts,
          name: 'shared',
          include: ['test/**/*.spec.ts'],
          exclude: [ADOPTED, PAGE, ...ISOLATED],
          isolate: false,
          setupFiles: ['test/support/no-open-scopes.ts'],
        },
      },
      {
        ...project,
        test: {
          ...timeouts,
          name: 'isolated',
          include: ISOLATED,
          exclude: [PAGE],
          isolate: true,
        },
      },
      { ...project, test: { ...timeouts, name: 'page', include: [PAGE] } },
    ],
  },
});
