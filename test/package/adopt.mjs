// Can existing code bases use the library as it is packed? Makes small
// applications of the usual kinds, compiles and tests them with their own
// tools, runs two instances of each, and compares their reads.
//
//   npm run check:adopt                 all of them
//   npm run check:adopt -- swc graphql  some of them
import {
  cp,
  mkdir,
  readdir,
  readFile,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { COMMUNITIES, PROJECTS } from './adopt.projects.mjs';
import { findRedis, hears, launch, reads, REST } from './instances.mjs';
import { bench, freePort, main, pack, root, run, step } from './workbench.mjs';

const SOURCES = join(root, 'test/package/adopt');
const WRITES = 25;

await main('check:adopt', async () => {
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !(name in PROJECTS));
  if (unknown.length > 0) {
    throw new Error(
      `There is no project ${unknown.join(', ')}. There are: ${Object.keys(PROJECTS).join(', ')}.`,
    );
  }
  const names = Object.keys(PROJECTS).filter(
    (name) => wanted.length === 0 || wanted.includes(name),
  );
  const tarball = await step('npm pack', pack);
  const redis = await step('Redis', findRedis);
  for (const [title, community] of Object.entries(COMMUNITIES)) {
    const members = names.filter((name) => PROJECTS[name].of === title);
    if (members.length === 0) continue;
    const home = join(bench, title);
    await step(`${title}: install`, () => install(home, community, tarball));
    for (const name of members) {
      await adopt(name, { home, community, redisUrl: redis.url });
    }
  }
  await redis.stop();
});

// One installation for all projects of a community: each is a folder in it.
async function install(home, { manifest, packages }, tarball) {
  await mkdir(home);
  await writeFile(join(home, 'package.json'), JSON.stringify(manifest));
  await run('npm', ['install', tarball, ...packages.trim().split(/\s+/)], {
    cwd: home,
  });
}

async function adopt(name, { home, community, redisUrl }) {
  const { build, test, started, door = REST } = PROJECTS[name];
  const cwd = join(home, name);
  await step(`${name}: the sources`, () => lay(cwd, name, community));
  for (const command of build) {
    await step(`${name}: ${command}`, () => npx(command, cwd));
  }
  if (test) await step(`${name}: ${test}`, () => npx(test, cwd));
  const env = {
    REDIS_URL: redisUrl,
    CACHE_INVALIDATION_CHANNEL: `adopt-${process.pid}-${name}`,
    TMPDIR: cwd,
  };
  await step(`${name}: two instances`, async () => {
    const instances = await Promise.all(
      [1, 2].map(() => begin(cwd, env, started)),
    );
    await compare(instances, door);
    await Promise.all(instances.map(end));
  });
}

async function begin(cwd, env, started) {
  const MESSAGE_PORT = String(await freePort());
  return launch(cwd, { ...env, MESSAGE_PORT }, started);
}

async function end({ server }) {
  const code = await server.stop();
  if (code !== 0 && code !== 'SIGTERM') {
    throw new Error(`An instance ended with ${code}:\n${server.output()}`);
  }
}

async function lay(cwd, name, { manifest, extension }) {
  const { sources = [], files } = PROJECTS[name];
  await mkdir(cwd);
  for (const folder of ['common', ...sources]) {
    await cp(join(SOURCES, folder), join(cwd, 'src'), { recursive: true });
  }
  if (extension !== '') {
    for (const file of await readdir(join(cwd, 'src'))) {
      const path = join(cwd, 'src', file);
      const text = await readFile(path, 'utf8');
      const imports = text.replace(
        /from '(\.\/[^']+)'/g,
        `from '$1${extension}'`,
      );
      await writeFile(path, imports);
    }
  }
  const written = { 'package.json': manifest, ...files };
  for (const [path, content] of Object.entries(written)) {
    const text =
      typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(join(cwd, path), text);
  }
  await symlink(join('..', 'node_modules'), join(cwd, 'node_modules'));
}

function npx(command, cwd) {
  return run('npx', ['--no', '--', ...command.split(' ')], { cwd });
}

async function compare([a, b], door) {
  await hears({ writer: a, reader: b, id: '1', door });
  await hears({ writer: b, reader: a, id: '2', door });
  for (let write = 0; write < WRITES; write++) {
    const name = `name-${write}`;
    await door.write(a.url, '3', name);
    await reads({ reader: b, id: '3', name, door });
  }
  // Copies are used: another read loads nothing.
  const { loads } = await door.read(b.url, '3');
  const again = await door.read(b.url, '3');
  if (again.loads !== loads) throw new Error('A read loaded what was cached.');
}
