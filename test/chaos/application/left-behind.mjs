import { setImmediate } from 'node:timers/promises';

/**
 * Time for sockets to close after `app.close()`; nothing of the application may
 * be left then.
 */
const GONE_WITHIN_MS = 2_000;

/**
 * Sockets, timers and other resources, beyond those from before the application.
 *
 * @param atRest resources from before the application
 */
export async function leftBehind(atRest) {
  const left = () => {
    const before = [...atRest];
    return process.getActiveResourcesInfo().filter((resource) => {
      const known = before.indexOf(resource);
      if (known !== -1) before.splice(known, 1);
      return known === -1;
    });
  };
  const deadline = performance.now() + GONE_WITHIN_MS;
  while (left().length > 0 && performance.now() < deadline) {
    // An immediate is not counted as a resource; a timer would be.
    await setImmediate();
  }
  return left();
}
