import { chromium, type Browser } from 'playwright-core';
import { findProgram, hasProgram } from './programs.js';

/** Whether this machine has a Chromium: for `describe.runIf(hasBrowser)`. */
export const hasBrowser = hasProgram('chromium');

/**
 * The machine's own Chromium, without a window.
 *
 * @throws Error if there is none on the PATH
 */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = findProgram('chromium');
  if (executablePath === undefined) {
    throw new Error('There is no `chromium` on the PATH: install it.');
  }
  // The sandbox needs rights that a container does not have.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
