// Does the README's quick start work as written? Makes an application as
// `nest new` does, for Nest 11 (CommonJS, ioredis 5) and Nest 12 (ESM, ioredis
// 6), pastes the README's code into it, and runs two instances.
//
// The code is every fenced block that follows a comment such as
//   <!-- quick-start: src/app.module.ts -->
// Afterwards docs/guide.md is checked in the same way.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { followGuide } from './guide.mjs';
import { findRedis, hears, launch } from './instances.mjs';
import { bench, main, manifest, pack, root, run, step } from './workbench.mjs';

const { name } = manifest;
const PEERS = Object.keys(manifest.peerDependencies);

const APPS = [
  { nest: 11, modules: 'commonjs', config: 4, ioredis: 5, jest: true },
  { nest: 12, modules: 'module', config: 12, ioredis: 6, jest: false },
];

const SPEC = `
import { Test } from '@nestjs/testing';
import { InvalidationPublisher } from '${name}';
import { InMemoryBroker, settled } from '${name}/testing';
import { AppModule } from './app.module';

it('runs the module without Redis', async () => {
  process.env.CACHE_INVALIDATION_SERVICE_NAME = 'jest';
  const module = await new InMemoryBroker()
    .install(Test.createTestingModule({ imports: [AppModule] }))
    .compile();
  const app = module.createNestApplication();
  await app.init();
  const receipt = await app.get(InvalidationPublisher).invalidate('User', '1');
  await settled(app);
  expect(receipt.status).toBe('delivered');
  await app.close();
});
`;

await main('check:quick-start', async () => {
  const files = await step('README.md', readBlocks);
  const tarball = await step('npm pack', pack);
  const redis = await step('Redis', findRedis);
  for (const app of APPS) {
    const title = `Nest ${app.nest}, ioredis ${app.ioredis}`;
    const cwd = await step(`${title}: nest new`, () => create(app));
    await step(`${title}: install`, () => install(cwd, app, tarball));
    await step(`${title}: npm run build`, () => build(cwd, files));
    await step(`${title}: two instances`, () => talk(cwd, app, redis.url));
    if (app.jest) await step(`${title}: jest`, () => test(cwd));
  }
  await step('docs/guide.md', () =>
    followGuide({ name, install: tarball, redisUrl: redis.url }),
  );
  await redis.stop();
});

async function readBlocks() {
  const text = await readFile(join(root, 'README.md'), 'utf8');
  const found = text.matchAll(
    /<!-- quick-start: (\S+) -->\s*```\w*\n([\s\S]*?)\n```/g,
  );
  const blocks = new Map(
    [...found].map(([, path, code]) => [path, `${code}\n`]),
  );
  const markers = text.match(/<!-- quick-start:/g)?.length ?? 0;
  if (markers !== blocks.size) {
    throw new Error(
      `README.md has ${markers} quick-start comments, and ${blocks.size} of them precede a fenced block of their own.`,
    );
  }
  if (blocks.size === 0) {
    throw new Error('README.md has no quick-start block.');
  }
  console.log(`    ${[...blocks.keys()].join(', ')}`);
  return blocks;
}

async function create({ nest, modules }) {
  const parent = join(bench, `nest-${nest}`);
  const options = ['--skip-git', '--skip-install', '--package-manager', 'npm'];
  await mkdir(parent);
  await run('npx', ['--yes', `@nestjs/cli@${nest}`, 'new', 'app', ...options], {
    cwd: parent,
  });
  const cwd = join(parent, 'app');
  const { type = 'commonjs' } = await readJson(join(cwd, 'package.json'));
  if (type !== modules) {
    throw new Error(`nest new made a "${type}" application, not "${modules}".`);
  }
  return cwd;
}

async function install(cwd, { config, ioredis }, tarball) {
  await run('npm', ['install'], { cwd });
  const peers = [
    'class-validator',
    `@nestjs/config@${config}`,
    `ioredis@${ioredis}`,
  ];
  await run('npm', ['install', tarball, ...peers], { cwd });
  console.log(await run('npm', ['ls', '--depth=0', ...PEERS], { cwd }));
}

async function build(cwd, files) {
  for (const [path, code] of files) await writeFile(join(cwd, path), code);
  await run('npm', ['run', 'build'], { cwd });
}

async function talk(cwd, { nest }, redisUrl) {
  // A Redis that others use too may carry a channel of the same name.
  const env = {
    REDIS_URL: redisUrl,
    CACHE_INVALIDATION_SERVICE_NAME: 'users',
    CACHE_INVALIDATION_CHANNEL: `quick-start-${process.pid}-${nest}`,
    TMPDIR: cwd,
  };
  const [a, b] = await Promise.all([launch(cwd, env), launch(cwd, env)]);
  await hears({ writer: a, reader: b, id: '1' });
  await hears({ writer: b, reader: a, id: '2' });
  await Promise.all([a.server.stop(), b.server.stop()]);
}

// Runs the tests with the settings that `nest new` wrote.
async function test(cwd) {
  await writeFile(join(cwd, 'src', 'quick-start.spec.ts'), SPEC);
  await run('npm', ['test'], { cwd });
}

async function readJson(path) {
  return JSON.parse(await readFile(path, 'utf8'));
}
