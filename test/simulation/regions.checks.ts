import {
  compareOffsets,
  decodeMessage,
  relayed,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { heldFor } from './regions.gates.js';
import type { RegionNode } from './regions.node.js';
import type { SimulatedRegion } from './regions.region.js';
import {
  falselyReleased,
  owedRepetitions,
  unrepeated,
} from './regions.repetitions.js';
import {
  announcesOnce,
  isCovered,
  isLasting,
  isPrompt,
  keepsEntries,
  sourcesOf,
  type RegionSchedule,
} from './regions.schedule.js';

/** Milliseconds until a message is everywhere, besides the latency. */
const PROMPT_MS = 500;
/** Milliseconds until relays have begun, besides a heartbeat. */
const STARTED_MS = 3_000;

/**
 * Looks for a false staleness: an instance that says it has everything of a source up to
 * a time, and has not received a message of the source from before.
 */
export function falseStaleness(
  node: RegionNode,
  region: SimulatedRegion,
  schedule: RegionSchedule,
  now: number,
): string | null {
  const { servingSince, widenedAt, subscriber, heard } = node;
  if (servingSince === null) return null;
  const since = Math.max(servingSince, widenedAt);
  for (const [name, { transit }] of Object.entries(
    sourcesOf(schedule, region.name),
  )) {
    const source = region.other(name);
    if (!isLasting(schedule, name)) continue;
    const asOf = Math.max(
      now - subscriber.staleness(name),
      promptAsOf(schedule, name, region.name, now),
    );
    let checked = node.checkedOf.get(name) ?? 0;
    for (; checked < source.taken.length; checked++) {
      const { message, at, owedTo } = source.taken[checked]!;
      if (at >= asOf) break;
      if (owedTo?.has(region.name) === false) continue;
      if (at <= since || heard.has(message.messageId)) continue;
      if (!relayed(message, name, region.name, transit ?? false)) continue;
      return `at ${now} ${node.name} should have received all messages of ${name} until ${asOf}, but lacks ${message.messageId} of ${at}`;
    }
    node.checkedOf.set(name, checked);
  }
  return null;
}

/**
 * The time of the last messages that must have arrived whatever an instance says: those
 * that were held for as long as possible.
 */
function promptAsOf(
  schedule: RegionSchedule,
  source: string,
  local: string,
  now: number,
): number {
  const bound = heldFor(schedule.gates[local]) + schedule.latency + PROMPT_MS;
  const isKnown = now > bound + STARTED_MS + schedule.heartbeatInterval;
  return isKnown && isPrompt(schedule, [source, local])
    ? now - bound
    : -Infinity;
}

/** Problems of a region's journal at the end of a run. */
export function journalProblems(
  region: SimulatedRegion,
  schedule: RegionSchedule,
): string[] {
  const { name, network } = region;
  const problems = network.master.relays.rewinds.map(
    (text) => `in ${name} ${text}`,
  );
  const counts = new Map<string, number>();
  for (const { payload } of network.master.journal) {
    const { message, isFinal } = unrepeated(
      decodeMessage(payload, Infinity),
      name,
    );
    const { messageId, path } = message;
    const key = `${messageId} ${isFinal}`;
    const isBack = path?.slice(0, -1).includes(name) === true;
    if (isBack || (isBornIn(message, name) && path)) {
      problems.push(`${messageId} came back to ${name} by ${path?.join()}`);
    }
    if (isBornIn(message, name)) continue;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    const source = region.other(path?.at(-2) ?? message.region ?? name);
    const published = timesIn(source, messageId);
    // A relay's own message for what it could not forward is "everything".
    if (published === 0 && message.pattern !== '*') {
      problems.push(`${name} has ${messageId}, which ${source.name} never had`);
    }
    // An announcement that comes late looks like one of another journal.
    const isOnce = announcesOnce(schedule, source.name);
    if (isOnce && counts.get(key)! > Math.max(1, published)) {
      problems.push(
        `${name} has ${messageId} ${counts.get(key)} times, and ${source.name} had it ${published} times`,
      );
    }
  }
  problems.push(...gapsIn(region, schedule));
  problems.push(...falselyReleased(region, schedule));
  for (const [source, times] of network.master.relays.lostPlaces) {
    if (!isCovered(schedule, source)) continue;
    problems.push(
      `${times} times a relay in ${name} gave up messages that the journal of ${source} has`,
    );
  }
  return problems;
}

/** Faults that last some time after healing. */
export function regionComplaints(
  region: SimulatedRegion,
  schedule: RegionSchedule,
  bound: number,
): string[] {
  const { alive, name, sources } = region;
  const complaints: string[] = [];
  const oldest = bound + heldFor(schedule.gates[name]);
  for (const source of sources) {
    const holders = alive.filter((node) => node.holds(source));
    if (alive.length > 0 && holders.length !== 1) {
      complaints.push(`${holders.length} instances of ${name} relay ${source}`);
    }
    for (const node of alive) {
      const age = node.subscriber.staleness(source);
      if (age > oldest)
        complaints.push(`${node.name} is ${age} ms behind ${source}`);
      complaints.push(...region.other(source).foreign.missedBy(node, name));
    }
  }
  if (complaints.length === 0) return owedRepetitions(region, schedule);
  return complaints;
}

function isBornIn({ region }: InvalidationMessage, name: string): boolean {
  return (region ?? name) === name;
}

function timesIn({ taken }: SimulatedRegion, messageId: string): number {
  return taken.filter(({ message }) => message.messageId === messageId).length;
}

/** Messages that the record says are forwarded, and the journal does not have. */
function gapsIn(region: SimulatedRegion, schedule: RegionSchedule): string[] {
  const { name } = region;
  const { master } = region.network;
  if (!keepsEntries(schedule, name)) return [];
  const ids = new Set(
    master.journal.map(
      ({ payload }) => decodeMessage(payload, Infinity).messageId,
    ),
  );
  const sources = Object.entries(sourcesOf(schedule, name));
  return sources.flatMap(([source, { transit = false }]) => {
    if (!isCovered(schedule, source)) return [];
    const start = master.relays.startOf(source);
    const end = master.relays.of(source).place.offset;
    if (start === null || end === null) return [];
    return region
      .other(source)
      .network.master.journal.filter(
        ({ offset }) =>
          compareOffsets(start, offset) < 0 && compareOffsets(offset, end) <= 0,
      )
      .map(({ payload }) => decodeMessage(payload, Infinity))
      .filter(
        (message) =>
          relayed(message, source, name, transit) !== null &&
          !ids.has(message.messageId),
      )
      .map(({ messageId }) => `${name} skipped ${messageId} of ${source}`);
  });
}
