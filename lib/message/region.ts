import type { InvalidationMessage } from './invalidation-message.js';

const REGION = /^[A-Za-z0-9][\w.-]{0,31}$/;
/** Regions that one message may have been through. */
const LONGEST_PATH = 16;

/** Whether a value is the name of a region. @internal */
export function isRegion(value: unknown): value is string {
  return typeof value === 'string' && REGION.test(value);
}

/** Whether a value is a list of regions that a message can have been through. @internal */
export function isPath(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= LONGEST_PATH &&
    value.every(isRegion)
  );
}

/**
 * A message of a source as a region publishes it: marked with the region in which it
 * was born, and with this one. Its place in the source's journal is left out. Only a
 * message that was relayed has a path, so that one without it was born in the source,
 * by whatever name the source calls itself.
 *
 * @param transit whether to carry what was born elsewhere, too
 * @returns `null` for a message that this region must not publish: it was here
 * before, or was born elsewhere
 * @internal
 */
export function relayed(
  message: InvalidationMessage,
  source: string,
  local: string,
  transit: boolean,
): InvalidationMessage | null {
  const region = message.region ?? source;
  const path = message.path ?? [];
  if (path.length > 0) {
    if (!transit || region === local || path.includes(local)) return null;
    // A repetition adds this region once more.
    if (path.length > LONGEST_PATH - 2) return null;
  }
  return {
    ...message,
    region,
    path: [...path, local],
    offset: null,
    previous: null,
  };
}
