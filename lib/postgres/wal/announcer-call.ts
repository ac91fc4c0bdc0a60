import type { SourceOutlet } from '../../publisher/index.js';
import type { ForwardedMessage } from '../../transport/index.js';
import {
  encodeAnnouncement,
  type Announcement,
  type Stage,
} from './announcements.js';
import type { Lsn } from '../../message/index.js';
import { formatPlace } from './source-place.js';

/** Messages and characters that one call carries. */
const BATCH = { messages: 500, size: 262_144 };

/** An announcement that waits. @internal */
export interface Queued {
  readonly announcement: Announcement;
  /** The place among all announcements that were pushed. */
  readonly number: number;
  stage: Stage;
}

/** One call of the script, and what is true once it was answered. @internal */
export interface Call {
  readonly messages: ForwardedMessage[];
  readonly stages: Map<Queued, Stage>;
  /** Announcements at the head of the queue that leave it. */
  done: number;
  /** The place of the record; `null` where it stays. */
  to: string | null;
  lsn: Lsn | null;
}

/**
 * The next call for announcements in their order: as much as one carries.
 *
 * @param slot names the slot in the ids of messages
 * @returns `null` if nothing may leave
 * @internal
 */
export function nextCall(
  queue: readonly Queued[],
  slot: string,
  outlet: SourceOutlet,
): Call | null {
  const call: Call = {
    messages: [],
    stages: new Map(),
    done: 0,
    to: null,
    lsn: null,
  };
  let size = 0;
  let isInOrder = true;
  for (const queued of queue) {
    const { messages } = call;
    if (messages.length >= BATCH.messages || size >= BATCH.size) break;
    const { announcement, stage } = queued;
    const { isVisible, isLate, place } = announcement;
    isInOrder &&= isVisible;
    if (isInOrder) {
      call.to = formatPlace(place);
      call.lsn = place.lsn;
      call.done++;
    }
    const next: Stage = isVisible
      ? 'announced'
      : isLate && stage === 'waiting'
        ? 'early'
        : stage;
    if (next === stage) continue;
    call.stages.set(queued, next);
    const payloads = encodeAnnouncement(announcement, next, slot, outlet);
    for (const [index, payload] of payloads.entries()) {
      size += payload.length;
      // The last one moves the record.
      const isNext = isInOrder && index === payloads.length - 1;
      messages.push(
        isNext
          ? { payload, kind: 'next', offset: call.to }
          : { payload, kind: 'extra', offset: null },
      );
    }
  }
  return call.done > 0 || call.stages.size > 0 ? call : null;
}
