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
 * was born and those that relayed it. Its place in the source's journal is left out.
 *
 * @param sources all sources of this region
 * @returns `null` for a message that this region must not publish: it was here
 * before, or another source brings it
 * @internal
 */
export function relayed(
  message: InvalidationMessage,
  source: string,
  local: string,
  sources: readonly string[],
): InvalidationMessage | null {
  const born = message.region ?? source;
  const path = message.path ?? [];
  if (born === local || path.includes(local)) return null;
  if (born !== source && sources.includes(born)) return null;
  // A path has room for the source, and for this region at a repetition.
  if (path.length > LONGEST_PATH - 2) return null;
  return {
    ...message,
    region: born,
    path: born === source ? message.path : [...path, source],
    offset: null,
    previous: null,
  };
}
