import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export function git(...args) {
  return execFileSync('git', args, { cwd: ROOT, stdio: 'pipe' })
    .toString()
    .trim();
}

/**
 * Another commit's library, built in a folder of its own with the dependencies of
 * this checkout.
 *
 * @param ref commit, branch or tag
 * @throws Error for an unknown ref, or a commit that does not build
 */
export function checkOut(ref) {
  const commit = git('rev-parse', '--short', '--verify', `${ref}^{commit}`);
  const folder = mkdtempSync(join(tmpdir(), 'bench-against-'));
  const root = join(folder, 'checkout');
  const remove = () => {
    rmSync(folder, { recursive: true, force: true });
    git('worktree', 'prune');
  };
  git('worktree', 'add', '--detach', root, ref);
  process.once('exit', remove);
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  process.stderr.write(`building ${ref} …\n`);
  execFileSync('npm', ['run', 'build:lib'], { cwd: root, stdio: 'pipe' });
  return { root, commit, remove };
}
