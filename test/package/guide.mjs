// Does docs/guide.md work as written? Its files are written and its commands
// run in one shell, in the order of the page.
//
// A file is the block after a comment such as
//   <!-- guide: users/src/app.module.ts -->
// and commands are the block after <!-- guide: run -->. A command that ends with
// a comment must print that.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bench, freePort, root, run } from './workbench.mjs';

const BLOCK = /<!-- guide: (\S+) -->\s*```\w*\n([\s\S]*?)\n```/g;
const EXPECTED = /^(curl .*?) # (.*)$/;

const HEAD = `set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
expect() { [ "$2" = "$3" ] || { echo "$1"; echo "  printed  $2"; echo "  and not  $3"; exit 1; }; }
`;

/** @param install the package to install in place of the published one */
export async function followGuide({ name, install, redisUrl }) {
  const steps = await readSteps();
  const cwd = join(bench, 'guide');
  await mkdir(cwd);
  const script = [...steps].map(([path, code]) =>
    path === 'run' ? commands(code) : file(path, code),
  );
  const text = (await onFreePorts(HEAD + script.join('\n'))).replaceAll(
    `npm install ${name}`,
    `npm install ${install}`,
  );
  await writeFile(join(cwd, 'guide.sh'), text);
  return run('bash', ['guide.sh'], { cwd, env: { REDIS_URL: redisUrl } });
}

async function readSteps() {
  const text = await readFile(join(root, 'docs/guide.md'), 'utf8');
  const steps = [...text.matchAll(BLOCK)].map(([, path, code]) => [path, code]);
  const markers = text.match(/<!-- guide:/g)?.length ?? 0;
  if (steps.length === 0 || steps.length !== markers) {
    throw new Error(
      `docs/guide.md has ${markers} guide comments, and ${steps.length} of them precede a fenced block of their own.`,
    );
  }
  return steps;
}

function file(path, code) {
  return `cat >${path} <<'END OF FILE'\n${code}\nEND OF FILE`;
}

function commands(code) {
  return code.split('\n').map(command).join('\n');
}

function command(line) {
  const [, curl, printed] = EXPECTED.exec(line) ?? [];
  if (curl === undefined) return line;
  return `expect ${quoted(curl)} "$(${curl})" ${quoted(printed)}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

async function onFreePorts(text) {
  let replaced = text;
  for (const port of ['3000', '3001', '3002']) {
    replaced = replaced.replace(
      new RegExp(String.raw`\b${port}\b`, 'g'),
      String(await freePort()),
    );
  }
  return replaced;
}
