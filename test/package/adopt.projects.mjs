// Installations and projects that `npm run check:adopt` makes.
import { http } from './instances.mjs';

/** Languages of the projects, and the packages that are installed for them. */
export const COMMUNITIES = {
  'nest-11': {
    manifest: { private: true },
    extension: '',
    packages: `
      @nestjs/common@11 @nestjs/core@11 @nestjs/platform-express@11
      @nestjs/platform-fastify@11 @nestjs/microservices@11 @nestjs/bullmq@11
      @nestjs/graphql@13 @nestjs/apollo@13 graphql@16 @apollo/server@5
      @as-integrations/express5 bullmq@5 ioredis@5 class-validator@0.14
      class-transformer@0.5 reflect-metadata@0.2 rxjs@7 typescript@5.9
      @nestjs/cli@11 ts-loader@9 @nestjs/testing@11 jest@30 ts-jest@29 @types/jest@30
      @types/node@20 @swc/core@1 @swc/cli@0.7 @swc/jest esbuild chokidar`,
  },
  'nest-12': {
    manifest: { private: true, type: 'module' },
    extension: '.js',
    packages: `
      @nestjs/common@12 @nestjs/core@12 @nestjs/platform-express@12 ioredis@6
      class-validator@0.15 reflect-metadata@0.2 rxjs@7 typescript@6.0
      @nestjs/cli@12 @nestjs/testing@12 vitest@4 @types/node@20`,
  },
};

const JEST = (transform) => ({
  moduleFileExtensions: ['js', 'json', 'ts'],
  rootDir: 'src',
  testRegex: '.*\\.spec\\.ts$',
  transform: { '^.+\\.(t|j)s$': transform },
  testEnvironment: 'node',
});

const DECORATORS = {
  emitDecoratorMetadata: true,
  experimentalDecorators: true,
  target: 'ES2022',
  outDir: './dist',
  rootDir: './src',
  skipLibCheck: true,
  strict: true,
};

/** Compiler options as `nest new` wrote them until 2025: no moduleResolution. */
const CLASSIC = {
  'tsconfig.json': {
    compilerOptions: { ...DECORATORS, module: 'commonjs' },
    include: ['src'],
  },
  'nest-cli.json': { sourceRoot: 'src' },
};

const BUILT = {
  'tsconfig.build.json': {
    extends: './tsconfig.json',
    exclude: ['**/*.spec.ts'],
  },
};

const GRAPHQL = {
  async read(url, id) {
    return (await ask(url, `query { user(id: "${id}") { id name loads } }`))
      .user;
  },
  write: (url, id, name) =>
    ask(url, `mutation { saveUser(id: "${id}", name: "${name}") { id } }`),
};

async function ask(url, query) {
  const { data, errors } = await http(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/**
 * Projects: `of` names the installation, `sources` are added to the common
 * ones, `files` are its own, `build` and `test` are commands, `started` is the
 * file to run, and the `door` reads and writes users.
 */
export const PROJECTS = {
  jest: {
    of: 'nest-11',
    files: { ...CLASSIC, ...BUILT, 'jest.config.json': JEST('ts-jest') },
    build: ['nest build'],
    test: 'jest --config jest.config.json',
  },
  swc: {
    of: 'nest-11',
    files: {
      ...CLASSIC,
      'nest-cli.json': {
        sourceRoot: 'src',
        compilerOptions: {
          // Some versions would write to dist/src.
          builder: { type: 'swc', options: { stripLeadingPaths: true } },
        },
      },
      '.swcrc': {
        module: { type: 'commonjs' },
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
      },
      'jest.config.json': JEST('@swc/jest'),
    },
    build: ['nest build'],
    test: 'jest --config jest.config.json',
  },
  webpack: {
    of: 'nest-11',
    files: {
      ...CLASSIC,
      ...BUILT,
      // Monorepo mode bundles with webpack, and leaves packages outside.
      'nest-cli.json': {
        monorepo: true,
        root: '.',
        sourceRoot: 'src',
        compilerOptions: { webpack: true, tsConfigPath: 'tsconfig.build.json' },
        projects: {},
      },
    },
    build: ['nest build'],
  },
  esbuild: {
    of: 'nest-11',
    files: { ...CLASSIC, ...BUILT },
    build: [
      'nest build',
      // The bundle includes the library, but not its peers.
      `esbuild dist/main.js --bundle --platform=node --outfile=bundle/main.js ${[
        '@nestjs/*',
        'class-transformer',
        'class-validator',
        'ioredis',
        'reflect-metadata',
        'rxjs',
      ]
        .map((each) => `--external:${each}`)
        .join(' ')}`,
    ],
    started: 'bundle/main.js',
  },
  fastify: {
    of: 'nest-11',
    sources: ['fastify'],
    files: { ...CLASSIC, ...BUILT },
    build: ['nest build'],
  },
  graphql: {
    of: 'nest-11',
    sources: ['graphql'],
    files: { ...CLASSIC, ...BUILT },
    build: ['nest build'],
    door: GRAPHQL,
  },
  microservice: {
    of: 'nest-11',
    sources: ['microservice'],
    files: { ...CLASSIC, ...BUILT },
    build: ['nest build'],
  },
  bullmq: {
    of: 'nest-11',
    sources: ['bullmq'],
    files: { ...CLASSIC, ...BUILT },
    build: ['nest build'],
  },
  vitest: {
    of: 'nest-12',
    files: {
      ...BUILT,
      'tsconfig.json': {
        compilerOptions: {
          ...DECORATORS,
          module: 'nodenext',
          isolatedModules: true,
          types: ['vitest/globals', 'node'],
        },
        include: ['src'],
      },
      'nest-cli.json': { sourceRoot: 'src' },
    },
    build: ['nest build'],
    test: 'vitest run --globals',
  },
};
