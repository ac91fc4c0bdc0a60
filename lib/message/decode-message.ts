import { OversizedMessageError } from '../errors/index.js';
import { BLANK_MESSAGE } from './blank-message.js';
import { decodeEntityMessage } from './decode-entity-message.js';
import { coarser, isExact, nameOf, readEntityType } from './exactness.js';
import type { InvalidationMessage } from './invalidation-message.js';
import { isNamedTexts } from './named-texts.js';
import { isPath, isRegion } from './region.js';
import { isTimestamp } from './timestamp.js';
import {
  isLongerThan,
  isTextList,
  isObject,
  isSafeJson,
  isUuid,
  isWireEntityType,
  refuse,
} from './wire-rules.js';

/**
 * Reads one message from the channel.
 *
 * A message of an unknown action, entity type or version is widened: to its entity
 * type if that is known, else to everything.
 *
 * @param maxBytes larger payloads are refused unread
 * @throws InvalidMessageError if it is no invalidation message, or too large.
 * @publicApi
 */
export function decodeMessage(
  payload: string,
  maxBytes: number,
): InvalidationMessage {
  if (typeof payload !== 'string') return refuse('the payload', 'text');
  if (isLongerThan(payload, maxBytes)) {
    throw new OversizedMessageError(
      `A message of ${Buffer.byteLength(payload)} bytes was refused unread.`,
      `At most ${maxBytes} are read (option maxMessageBytes).`,
    );
  }
  const message = decodeEntityMessage(payload);
  if (message !== null) return message;
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    // V8's message quotes the payload, which may hold secrets.
    return refuse('the payload', 'JSON');
  }
  // UTF-8 holds half a surrogate pair only as an escape.
  return readMessage(value, !payload.includes('\\'));
}

/**
 * Reads a message that was parsed elsewhere: an HTTP body, a queue.
 *
 * @throws InvalidMessageError if it is no invalidation message.
 * @publicApi
 */
export function parseMessage(value: unknown): InvalidationMessage {
  return readMessage(value, false);
}

/** @param wellFormed whether every text of the message is known to be well-formed */
function readMessage(value: unknown, wellFormed: boolean): InvalidationMessage {
  if (!isObject(value)) return refuse('the payload', 'a JSON object');
  const {
    message_id: messageId,
    entity_type: wireType,
    entity_id: entityId = null,
    pattern = null,
    entity_ids: entityIds = null,
    action,
    timestamp,
    source_service: sourceService,
    metadata = null,
    origin,
    offset,
    previous,
    trace,
    at,
    region,
    path,
  } = value;

  if (!isUuid(messageId)) return refuse('message_id', 'a UUID');
  if (!isWireEntityType(wireType)) {
    return refuse('entity_type', 'a name or {"Custom": name}');
  }
  if (!isTextOrNull(entityId)) {
    return refuse('entity_id', 'a string or null');
  }
  if (!isTextOrNull(pattern)) {
    return refuse('pattern', 'a string or null');
  }
  if (entityIds !== null && !isTextList(entityIds)) {
    return refuse('entity_ids', 'an array of cache keys or null');
  }
  if (typeof action !== 'string') return refuse('action', 'a string');
  if (!isTimestamp(timestamp)) return refuse('timestamp', 'RFC 3339');
  if (typeof sourceService !== 'string')
    return refuse('source_service', 'a string');
  if (hasOwnProto(value)) {
    return refuse('the payload', 'free of __proto__');
  }

  if (!wellFormed) checkWellFormed(value);

  const entityType = readEntityType(wireType);
  const exact = isExact(action, entityType, entityId, pattern, entityIds);
  const wide = exact ? null : coarser(entityType);
  return {
    ...BLANK_MESSAGE,
    messageId,
    action: wide?.action ?? action,
    entityType: wide?.entityType ?? nameOf(action) ?? entityType,
    entityId:
      exact && action !== 'Pattern' && action !== 'Batch' ? entityId : null,
    pattern: wide?.pattern ?? (action === 'Pattern' ? pattern : null),
    // All consumers share it: one that empties it must not empty it for the others.
    entityIds: exact && action === 'Batch' ? Object.freeze(entityIds) : null,
    timestamp,
    sourceService,
    // Metadata is a decoration: a message is not refused for its sake.
    metadata: metadata === null || isSafeJson(metadata) ? metadata : null,
    origin: asText(origin, wellFormed),
    offset: asText(offset, wellFormed),
    previous: asText(previous, wellFormed),
    trace: isNamedTexts(trace) ? trace : null,
    at: isNamedTexts(at) ? Object.freeze(at) : null,
    region: isRegion(region) ? region : null,
    path: isPath(path) ? Object.freeze(path) : null,
    widened: exact ? null : 'not-understood',
  } as InvalidationMessage;
}

function hasOwnProto(value: object): boolean {
  // The comparison is free and answers always but in an attack.
  // oxlint-disable-next-line no-proto
  const proto = (value as { __proto__?: unknown }).__proto__;
  return proto !== Object.prototype && Object.hasOwn(value, '__proto__');
}

function isTextOrNull(value: unknown): value is string | null {
  return typeof value === 'string' || value === null;
}

/**
 * Optional fields about the delivery (origin, offset, previous) count as absent
 * if they hold anything but text; the message is still understood.
 */
function asText(value: unknown, wellFormed: boolean): string | null {
  return typeof value === 'string' && (wellFormed || value.isWellFormed())
    ? value
    : null;
}

const TEXT_FIELDS = [
  'message_id',
  'entity_id',
  'pattern',
  'entity_ids',
  'action',
  'source_service',
];

function checkWellFormed(value: Record<string, unknown>): void {
  for (const field of TEXT_FIELDS) {
    const text = value[field];
    if (text !== undefined && !isSafeJson(text)) {
      refuse(field, 'well-formed Unicode');
    }
  }
}
