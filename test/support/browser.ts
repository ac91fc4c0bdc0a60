import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';

/**
 * The machine's own Chromium, without a window.
 *
 * @throws Error if there is none on the PATH
 */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'chromium'))
    .find((file) => existsSync(file));
  if (executablePath === undefined) {
    throw new Error('There is no `chromium` on the PATH: install it.');
  }
  // The sandbox needs rights that a container does not have.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
