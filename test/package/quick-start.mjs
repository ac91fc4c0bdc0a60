// Does the README's quick start do what it says? Makes an application as
// `nest new` does, for Nest 11 (CommonJS, ioredis 5) and Nest 12 (ESM, ioredis
// 6), pastes the README's code into it, and runs two instances.
//
// The code is every fenced block that follows a comment such as
//   <!-- quick-start: src/app.module.ts -->
// A block after <!-- quick-start: jest --> is the Jest configuration for Nest 11.
//
// Then the same of docs/guide.md.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { followGuide } from './guide.mjs';
import {
  bench,
  freePort,
  main,
  manifest,
  pack,
  root,
  run,
  start,
  step,
} from './workbench.mjs';

const { name } = manifest;
const PEERS = Object.keys(manifest.peerDependencies);

const APPS = [
  { nest: 11, modules: 'commonjs', config: 4, ioredis: 5, jest: true },
  { nest: 12, modules: 'module', config: 12, ioredis: 6, jest: false },
];

const STALE_AT_MOST = 2_000;
const STARTED_WITHIN = 30_000;

// What Nest 11's own Jest lacks: an ESM package is to be compiled too, and a
// relative import that ends in .js is a .ts file.
const JEST = {
  transformIgnorePatterns: [`/node_modules/(?!(${name}|@nestjs/config)/)`],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
};

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
  const { files, jest } = await step('README.md', readBlocks);
  const tarball = await step('npm pack', pack);
  const redis = await step('Redis', findRedis);
  for (const app of APPS) {
    const title = `Nest ${app.nest}, ioredis ${app.ioredis}`;
    const cwd = await step(`${title}: nest new`, () => create(app));
    await step(`${title}: install`, () => install(cwd, app, tarball));
    await step(`${title}: npm run build`, () => build(cwd, files));
    await step(`${title}: two instances`, () => talk(cwd, app, redis.url));
    if (app.jest) await step(`${title}: jest`, () => test(cwd, jest));
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
  const settings = blocks.get('jest');
  blocks.delete('jest');
  if (blocks.size === 0) {
    throw new Error('README.md has no quick-start block.');
  }
  console.log(`    ${[...blocks.keys()].join(', ')}`);
  console.log(
    `    Jest: ${settings ? 'from README.md' : 'not in README.md, our own'}`,
  );
  return { files: blocks, jest: settings ? jestSettings(settings) : JEST };
}

// Either the whole object or the one property as it stands in a package.json.
function jestSettings(block) {
  const text = block.trim().replace(/,$/, '');
  const given = JSON.parse(text.startsWith('{') ? text : `{${text}}`);
  return given.jest ?? given;
}

async function findRedis() {
  if (process.env.REDIS_URL) {
    return { url: process.env.REDIS_URL, stop: async () => {} };
  }
  const port = await freePort();
  const server = start(
    'redis-server',
    `--port ${port} --bind 127.0.0.1 --save  --appendonly no`.split(' '),
  );
  await poll('redis-server answers', STARTED_WITHIN, server, () =>
    answers(port),
  );
  return { url: `redis://127.0.0.1:${port}`, stop: server.stop };
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
  const peers = [`@nestjs/config@${config}`, `ioredis@${ioredis}`];
  await run('npm', ['install', tarball, ...peers], { cwd });
  console.log(await run('npm', ['ls', '--depth=0', ...PEERS], { cwd }));
}

async function build(cwd, files) {
  for (const [path, code] of files) await writeFile(join(cwd, path), code);
  await run('npm', ['run', 'build'], { cwd });
}

async function talk(cwd, { nest }, redisUrl) {
  // A Redis that is not ours may carry a channel of the same name.
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

async function launch(cwd, env) {
  const port = await freePort();
  const server = start('node', ['dist/main.js'], {
    cwd,
    env: { ...env, PORT: String(port) },
  });
  await poll('the application listens', STARTED_WITHIN, server, () =>
    answers(port),
  );
  return { server, url: `http://localhost:${port}/users` };
}

// The reader has a copy; after the write it must not serve it.
async function hears({ writer, reader, id }) {
  const read = async () => (await http(`${reader.url}/${id}`)).name;
  for (const after of ['Ada', 'Grace']) {
    const before = await read();
    if (before === after)
      throw new Error(`${after} is there before the write.`);
    await http(`${writer.url}/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: after }),
    });
    const since = performance.now();
    await poll(`GET says ${after}`, STALE_AT_MOST, reader.server, async () => {
      return (await read()) === after;
    });
    const took = (performance.now() - since).toFixed(0);
    console.log(`    ${before} -> ${after} within ${took} ms`);
  }
}

async function test(cwd, jest) {
  const path = join(cwd, 'package.json');
  const settings = await readJson(path);
  settings.jest = { ...settings.jest, ...jest };
  await writeFile(path, JSON.stringify(settings, null, 2));
  await writeFile(join(cwd, 'src', 'quick-start.spec.ts'), SPEC);
  await run('npm', ['test'], { cwd });
}

async function http(url, options) {
  const response = await fetch(url, options);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
  return JSON.parse(text);
}

async function answers(port) {
  const socket = createConnection({ port, host: 'localhost' });
  const connected = await new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return connected;
}

async function poll(what, within, server, condition) {
  let died = false;
  void server.ended.then(() => (died = true));
  const deadline = performance.now() + within;
  while (!(await condition())) {
    if (died || performance.now() > deadline) {
      const why = died ? 'it ended' : `not within ${within} ms`;
      throw new Error(`${what}: ${why}\n${server.output()}`);
    }
    await delay(10);
  }
}

async function readJson(path) {
  return JSON.parse(await readFile(path, 'utf8'));
}
