import type { InvalidationMessage } from '../../lib/message/index.js';
import type { SimulatedRegion, Taken } from './regions.region.js';
import { isLasting, type RegionSchedule } from './regions.schedule.js';

/** A message as it was before this region has repeated it, or need not repeat it. */
export function unrepeated(
  message: InvalidationMessage,
  name: string,
): { readonly message: InvalidationMessage; readonly isFinal: boolean } {
  const { path } = message;
  if (path?.at(-1) !== name || path.at(-2) !== name) {
    return { message, isFinal: false };
  }
  return { message: { ...message, path: path.slice(0, -1) }, isFinal: true };
}

/** Relayed messages that were neither repeated after the delay, nor covered by "everything". */
export function owedRepetitions(
  region: SimulatedRegion,
  schedule: RegionSchedule,
): string[] {
  const { name, taken } = region;
  const gate = schedule.gates[name];
  if (gate === undefined) return [];
  const finals = new Map<string, number>();
  let everythingAt = -Infinity;
  for (const { message, at } of taken) {
    if (message.pattern === '*') everythingAt = at;
    if (unrepeated(message, name).isFinal) finals.set(message.messageId, at);
  }
  const isCovered = ({ message: { messageId }, at }: Taken): boolean =>
    at + gate.delay <= Math.max(everythingAt, finals.get(messageId) ?? 0);
  const owed = taken.filter(
    (each) => !isCovered(each) && isRelayed(each, region),
  );
  if (owed.length === 0) return [];
  const offsets = new Set(
    region.network.master.journal.map(({ offset }) => offset),
  );
  // The next relay forwards again what a failover lost.
  const isKept = ({ offset }: InvalidationMessage): boolean =>
    isLasting(schedule, name) || offsets.has(offset ?? '');
  return owed
    .filter(({ message }) => isKept(message))
    .map(
      ({ message: { messageId }, at }) =>
        `${name} has not repeated ${messageId} of ${at}`,
    );
}

/** Messages that nobody released, and that their region takes for ones that were. */
export function falselyReleased(
  { name, taken }: SimulatedRegion,
  { gates }: RegionSchedule,
): string[] {
  const held = gates[name]?.held;
  if (held !== 'never' && held !== 'throws') return [];
  const ids = new Set<string>();
  return taken.flatMap(({ message }) => {
    const { messageId } = message;
    if (!unrepeated(message, name).isFinal) ids.add(messageId);
    // "Everything" may stand for messages that were trimmed.
    const isKnown = ids.has(messageId) || message.pattern === '*';
    return isKnown ? [] : [`${name} took ${messageId} for a released one`];
  });
}

function isRelayed(
  { message: { path, region }, owedTo }: Taken,
  { name, sources }: SimulatedRegion,
): boolean {
  if (owedTo !== undefined || path?.at(-1) !== name) return false;
  return sources.includes(path.at(-2) ?? region ?? name);
}
