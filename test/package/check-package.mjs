// Is the published package usable? Packs the library, lints the tarball,
// installs it into empty folders with its oldest and newest peers, loads it
// both ways, starts an application and compiles a consumer against its types.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { entryDeclarations, internalNames } from './internal-names.mjs';
import { bench, main, manifest, pack, root, run, step } from './workbench.mjs';

const { name } = manifest;
/** Entry points that load with the usual peers alone. */
const ENTRIES = [
  '',
  '/audit',
  '/http',
  '/testing',
  '/transactions',
  '/wire',
].map((end) => name + end);
const OPTIONAL_PEERS = Object.keys(manifest.peerDependenciesMeta);
/** Entry points that need an optional peer. */
const OPTIONAL_ENTRIES = [
  'postgres',
  'prometheus',
  'opentelemetry',
  'terminus',
].map((end) => `${name}/${end}`);
const TYPESCRIPTS = ['5.4', '5.6', '5.9', '6.0'];

/**
 * Ways in which a consumer's compiler finds the types, and in which files: as a
 * module and as CommonJS, or as most Nest projects that began before 2025.
 */
const RESOLUTIONS = {
  nodenext: {
    files: ['consumer.mts', 'consumer.cts'],
    module: 'nodenext',
    moduleResolution: 'nodenext',
  },
  node16: {
    files: ['consumer.mts', 'consumer.cts'],
    module: 'node16',
    moduleResolution: 'node16',
  },
  bundler: {
    files: ['consumer.ts'],
    module: 'esnext',
    moduleResolution: 'bundler',
  },
  node10: {
    files: ['consumer.ts'],
    module: 'commonjs',
    moduleResolution: 'node10',
    esModuleInterop: true,
  },
};

const FOLDERS = [
  {
    title: 'Nest 12, ioredis 6',
    peers: ['@nestjs/common@12', '@nestjs/core@12', 'class-validator@0.15'],
    redis: 'ioredis@6',
    optional: [
      '@nestjs/terminus@12',
      '@opentelemetry/api@1',
      'pg@8',
      'prom-client@15',
    ],
    degraded: 'degraded false',
    // Nest 12 consists of ES modules, which earlier compilers refuse to require.
    compilations: [
      ['5.9', 'nodenext'],
      ['6.0', 'nodenext'],
      ['6.0', 'bundler'],
    ],
  },
  {
    title: 'Nest 11, ioredis 5',
    peers: ['@nestjs/common@11', '@nestjs/core@11', 'class-validator@0.14.0'],
    redis: 'ioredis@5.4.0',
    optional: [
      '@nestjs/terminus@11.0.0',
      '@opentelemetry/api@1.9.0',
      'pg@8.11.0',
      'prom-client@15.1.0',
    ],
    commonJs: true,
    // Terminus 11 has no status "degraded".
    degraded: 'up true',
    compilations: TYPESCRIPTS.flatMap((version) =>
      Object.keys(RESOLUTIONS).map((resolution) => [version, resolution]),
    ),
  },
];

const CONSUMER = `
import { Injectable, Module } from '@nestjs/common';
import { TerminusModule, type HealthIndicatorResult } from '@nestjs/terminus';
import type { Observable } from 'rxjs';
import {
  CacheInvalidationModule, fromResult, InjectInvalidationStream, InvalidatesCache,
  InvalidationPublisher, ofEntity, OnInvalidation,
  type InvalidationMessage, type PublishReceipt,
} from '${name}';
import { CacheAuditor } from '${name}/audit';
import { CachedRoute, ReadYourWritesInterceptor } from '${name}/http';
import { CacheInvalidationOpenTelemetryModule } from '${name}/opentelemetry';
import { CacheInvalidationHealthIndicator } from '${name}/terminus';
import { InMemoryBroker, InvalidationRecorder, settled } from '${name}/testing';
import { deferringAdapter, type TransactionalAdapterLike } from '${name}/transactions';
import { decodeMessage } from '${name}/wire';

interface User { id: string; name: string }

@Injectable()
export class UsersService {
  constructor(
    private readonly publisher: InvalidationPublisher,
    @InjectInvalidationStream() invalidations$: Observable<InvalidationMessage>,
  ) {
    invalidations$.pipe(ofEntity('User')).subscribe(({ messageId }) => messageId.length);
  }

  @InvalidatesCache('User', (user: User) => user.id)
  async save(user: User): Promise<User> { return user; }

  @InvalidatesCache('User', fromResult((user: User) => user.id))
  async create(name: string): Promise<User> { return { id: '1', name }; }

  @OnInvalidation('User')
  evict(_message: InvalidationMessage): void {}

  touch(id: string): Promise<PublishReceipt> { return this.publisher.invalidate('User', id); }
}

@Module({
  imports: [
    CacheInvalidationModule.forRoot({ serviceName: 'consumer' }),
    CacheInvalidationOpenTelemetryModule,
    TerminusModule,
  ],
  providers: [UsersService, CacheInvalidationHealthIndicator],
})
export class AppModule {}

export const health = async (
  indicator: CacheInvalidationHealthIndicator,
): Promise<HealthIndicatorResult<'cache-invalidation'>> =>
  (await indicator.isReady('cache-invalidation', { timeout: 1 })) &&
  indicator.isHealthy();

export class UsersController {
  @CachedRoute('User', ({ id }: { id: string }) => id)
  find(): object { return {}; }
}

export const adapter = (given: TransactionalAdapterLike) => deferringAdapter(given);
export const decoded = decodeMessage('{}', 1_000);
export const kit = [
  CacheAuditor, InMemoryBroker, InvalidationRecorder, ReadYourWritesInterceptor,
  settled,
];
`;

/** An application with all parts, switched off because there is no Redis. */
const APPLICATION = `
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { HealthIndicatorService, TerminusModule } from '@nestjs/terminus';
import { CacheInvalidationModule, InvalidationPublisher } from '${name}';
import { CacheInvalidationOpenTelemetryModule } from '${name}/opentelemetry';
import { CacheInvalidationHealthIndicator } from '${name}/terminus';

class AppModule {}
Module({
  imports: [
    CacheInvalidationModule.forRoot({ serviceName: 'consumer', enabled: false }),
    CacheInvalidationOpenTelemetryModule,
    TerminusModule,
  ],
  providers: [CacheInvalidationHealthIndicator],
})(AppModule);

const app = await NestFactory.createApplicationContext(AppModule, {
  logger: ['error'],
  abortOnError: false,
});
const { status } = await app.get(InvalidationPublisher).invalidateUser(1);
const { up } = app.get(CacheInvalidationHealthIndicator).isHealthy('up');
const report = { status: 'degraded', staleness: 1 };
const { degraded } = new CacheInvalidationHealthIndicator(
  { check: () => report },
  app.get(HealthIndicatorService),
).isHealthy('degraded');
await app.close();
console.log(status, up.status, degraded.status, degraded.degraded === true);
`;

await main('check:package', async () => {
  const tarball = await step('npm pack', pack);

  await step('publint', () =>
    run('npx', ['--no', '--', 'publint', 'run', tarball, '--strict'], {
      cwd: root,
    }),
  );
  await step('are the types wrong?', () =>
    run('npx', ['--no', '--', 'attw', tarball, '--profile', 'strict'], {
      cwd: root,
    }),
  );

  for (const [index, folder] of FOLDERS.entries()) {
    const cwd = join(bench, `consumer-${index}`);
    await step(`${folder.title}: install`, () => install(cwd, folder, tarball));
    if (index === 0) await checkContents(join(cwd, 'node_modules', name));
    await step(`${folder.title}: import and require`, () =>
      load(cwd, ENTRIES, folder),
    );
    await step(`${folder.title}: without the optional peers`, () =>
      checkAbsent(cwd, OPTIONAL_PEERS),
    );
    await step(`${folder.title}: the environment without its peer`, () =>
      adviseConfig(cwd),
    );
    await step(`${folder.title}: with the optional peers`, async () => {
      await run('npm', ['install', ...folder.optional], { cwd });
      await load(cwd, OPTIONAL_ENTRIES, folder);
    });
    await step(`${folder.title}: an application`, () => serve(cwd, folder));
    await step(`${folder.title}: the command`, () => command(cwd));
    for (const [version, resolution] of folder.compilations) {
      await step(
        `${folder.title}: types, TypeScript ${version}, ${resolution}`,
        () =>
          Promise.all(
            [true, false].map((strict) =>
              compile(cwd, { version, resolution, strict }),
            ),
          ),
      );
    }
  }
});

async function install(cwd, { peers, redis }, tarball) {
  await mkdir(cwd);
  await writeFile(join(cwd, 'package.json'), '{ "private": true }\n');
  const compilers = TYPESCRIPTS.map((v) => `ts-${v}@npm:typescript@~${v}.0`);
  await run(
    'npm',
    ['install', tarball, ...peers, redis, ...compilers, '@types/node@20'],
    { cwd },
  );
}

/** Proves that the entry points loaded without these peers. */
async function checkAbsent(cwd, peers) {
  const found = peers.filter((peer) =>
    existsSync(join(cwd, 'node_modules', peer)),
  );
  refuse('is there though nobody asked for it', found);
}

/** `forRootAsync()` without arguments names the package that is missing. */
async function adviseConfig(cwd) {
  const start = `
    import 'reflect-metadata';
    import { NestFactory } from '@nestjs/core';
    import { CacheInvalidationModule } from '${name}';
    await NestFactory.createApplicationContext(
      CacheInvalidationModule.forRootAsync(),
      { logger: false, abortOnError: false },
    ).catch(({ message }) => console.log(message));
  `;
  const output = await run('node', ['--input-type=module', '-e', start], {
    cwd,
  });
  if (!output.includes('npm install @nestjs/config')) {
    throw new Error(`It printed:\n${output}`);
  }
}

async function serve(cwd, { degraded }) {
  await writeFile(join(cwd, 'application.mjs'), APPLICATION);
  const output = await run('node', ['application.mjs'], { cwd });
  const expected = `disabled up ${degraded}`;
  if (output.trim() !== expected) {
    throw new Error(`It printed, in the place of "${expected}":\n${output}`);
  }
}

async function load(cwd, entries, { commonJs }) {
  for (const entry of entries) {
    const report =
      "if (names.length === 0) throw new Error('nothing is exported'); console.log(names.length);";
    const imported = `const names = Object.keys(await import('${entry}')); ${report}`;
    const required = `const names = Object.keys(require('${entry}')); ${report}`;
    // Two copies in one process would be two sets of classes and of injection tokens.
    const both = `if (require('${entry}') !== (await import('${entry}'))) throw new Error('there are two copies'); console.log('one');`;
    await run('node', ['--input-type=module', '-e', imported], { cwd });
    await run('node', ['--input-type=commonjs', '-e', required], { cwd });
    await run(
      'node',
      ['--input-type=commonjs', '-e', `(async () => { ${both} })()`],
      { cwd },
    );
    // Jest and older bundlers do not know the condition `module-sync`: they
    // require CommonJS.
    if (!commonJs) continue;
    await run(
      'node',
      [
        '--no-experimental-require-module',
        '--input-type=commonjs',
        '-e',
        required,
      ],
      { cwd },
    );
  }
}

// The installed command: executable, and with everything that it loads.
async function command(cwd) {
  const ask = (...args) => run('npx', ['--no', '--', name, ...args], { cwd });
  const version = (await ask('--version')).trim();
  if (version !== manifest.version) throw new Error(`it says ${version}`);
  for (const args of [['--help'], ['publish', 'User', '1', '--dry-run']]) {
    if ((await ask(...args)).trim() === '') {
      throw new Error(`${args.join(' ')} says nothing`);
    }
  }
}

// Only errors in the library's declarations and in the consumer count, not
// those of other packages.
async function compile(cwd, { version, resolution, strict }) {
  const { files, ...found } = RESOLUTIONS[resolution];
  for (const file of files) await writeFile(join(cwd, file), CONSUMER);
  const compilerOptions = {
    ...found,
    // TypeScript 6 accepts node10 only with this option.
    ...(version.startsWith('6') ? { ignoreDeprecations: '6.0' } : {}),
    target: 'ES2022',
    types: ['node'],
    strict,
    skipLibCheck: false,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    noEmit: true,
  };
  const project = strict ? 'tsconfig.strict.json' : 'tsconfig.json';
  await writeFile(
    join(cwd, project),
    JSON.stringify({ compilerOptions, files }),
  );
  const tsc = join('node_modules', `ts-${version}`, 'bin', 'tsc');
  const output = await run(
    'node',
    [tsc, '--project', project, '--pretty', 'false'],
    { cwd },
  ).catch(({ message }) => message);
  const errors = output.split('\n').filter((line) => /error TS\d+/.test(line));
  const ours = errors.filter(
    (line) => !line.startsWith('node_modules') || line.includes(name),
  );
  if (ours.length > 0) throw new Error(ours.join('\n'));
  if (errors.length > 0) {
    console.log(`    ${errors.length} errors in declarations of others:`);
    console.log(errors.map((line) => `      ${line}`).join('\n'));
  } else if (output.trim() !== '') {
    throw new Error(output);
  }
}

async function checkContents(folder) {
  const files = await filesIn(folder);

  await step(`contents: ${files.length} files`, () => {
    const wanted = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
    const missing = wanted.filter((file) => !files.includes(file));
    const strangers = files.filter(
      (file) =>
        !wanted.includes(file) &&
        file !== 'dist/cjs/package.json' &&
        !/^dist\/(cjs|lib)\/.+\.(d\.ts|js)$/.test(file),
    );
    refuse('is missing', missing);
    refuse('does not belong into the package', strangers);
  });

  await step('source maps lead somewhere', async () => {
    const lost = [];
    for (const file of files) {
      if (!/\.(js|d\.ts)$/.test(file)) continue;
      const text = await readFile(join(folder, file), 'utf8');
      const [, map] = /^\/\/# sourceMappingURL=(.+)$/m.exec(text) ?? [];
      if (map === undefined || map.startsWith('data:')) continue;
      if (!existsSync(join(folder, dirname(file), map))) lost.push(file);
    }
    refuse('names a source map that is not there', lost);
  });

  await step('the declarations keep their JSDoc', async () => {
    const stripped = [];
    const library = join(root, 'lib');
    for (const file of await filesIn(library)) {
      if (!file.endsWith('.ts')) continue;
      const source = await readFile(join(library, file), 'utf8');
      if (!source.includes('@publicApi')) continue;
      const types = join(folder, 'dist/lib', file.replace(/\.ts$/, '.d.ts'));
      const text = await readFile(types, 'utf8').catch(() => '');
      if (!text.includes('@publicApi')) stripped.push(file);
    }
    refuse('has JSDoc that its declaration lacks', stripped);
  });

  await step('nothing internal is visible', async () => {
    const names = ['lib', 'cjs'].flatMap((built) =>
      internalNames(entryDeclarations(manifest, join(folder, 'dist', built))),
    );
    const found = [...new Set(names)];
    const { compilerOptions } = JSON.parse(
      await readFile(join(root, 'lib/tsconfig.lib.json'), 'utf8'),
    );
    if (compilerOptions.stripInternal === true) {
      refuse('is tagged @internal and visible', found);
    } else {
      console.log(`    ${found.length} names, until stripInternal is on:`);
      console.log(found.map((each) => `      ${each}`).join('\n'));
    }
  });

  await step('every import is declared', async () => {
    const declared = new Set([
      ...Object.keys(manifest.dependencies ?? {}),
      ...Object.keys(manifest.peerDependencies ?? {}),
      ...builtinModules,
    ]);
    const undeclared = [];
    for (const file of files) {
      if (!/\.(js|d\.ts)$/.test(file)) continue;
      const text = await readFile(join(folder, file), 'utf8');
      for (const wanted of importsOf(text)) {
        if (!declared.has(wanted)) undeclared.push(`${file}: ${wanted}`);
      }
    }
    refuse('is imported and not declared', undeclared);
  });
}

function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
  const found = code.matchAll(
    /(?:^|[\s;}])(?:from\s+|import\s+|import\(|require\()['"]([^'".][^'"]*)['"]/g,
  );
  return [...found]
    .map(([, specifier]) => specifier)
    .filter((specifier) => !specifier.startsWith('node:'))
    .map((specifier) =>
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    );
}

async function filesIn(folder) {
  const entries = await readdir(folder, {
    recursive: true,
    withFileTypes: true,
  });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .map((path) => path.split(sep).join('/'))
    .filter((path) => !path.startsWith('node_modules/'))
    .toSorted();
}

function refuse(what, found) {
  if (found.length > 0) throw new Error(`${what}:\n  ${found.join('\n  ')}`);
}
