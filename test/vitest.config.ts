import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const subpaths = [
  'audit',
  'http',
  'opentelemetry',
  'prometheus',
  'terminus',
  'testing',
  'transactions',
  'wire',
];

export default defineConfig({
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
  test: {
    include: ['test/**/*.spec.ts'],
    // Those of the projects that npm run check:adopt makes, with their own tools.
    exclude: ['test/package/adopt/**'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
