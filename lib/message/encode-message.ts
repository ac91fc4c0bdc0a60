import { randomUUID } from 'node:crypto';
import { InvalidationSerializationError } from '../errors/index.js';
import { isBuiltInEntityType } from './entity-type.js';
import type { InvalidationMessage } from './invalidation-message.js';
import { isLongerThan, isSafeJson } from './wire-rules.js';

const PLAIN = /^[ !#-[\]-~]*$/;

const PREVIOUS = ',"previous":"';
const OFFSET = ',"offset":"';

const MESSAGE_ID_AT = '{"message_id":"'.length;
const UUID_LENGTH = 36;

/** How long that is for an origin of ours. @internal */
export const ENCODED_ORIGIN_LENGTH = encodeOrigin(randomUUID()).length;

/**
 * Writes one message for the channel.
 *
 * @throws InvalidationSerializationError if its metadata is not JSON, or it is
 * larger than `maxBytes`.
 * @publicApi
 */
export function encodeMessage(
  message: InvalidationMessage,
  maxBytes: number,
): string {
  const payload =
    `{"message_id":${encodeText(message.messageId)}` +
    `,"entity_type":${encodeEntityType(message.entityType)}` +
    `,"entity_id":${encodeText(message.entityId)}` +
    `,"pattern":${encodeText(message.pattern)}` +
    `,"entity_ids":${message.entityIds === null ? 'null' : JSON.stringify(message.entityIds)}` +
    `,"action":"${message.action}"` +
    `,"timestamp":"${message.timestamp}"` +
    `,"source_service":${encodeText(message.sourceService)}` +
    `,"metadata":${encodeMetadata(message.metadata)}` +
    // Absent in a message that somebody made by hand.
    (message.trace ? `,"trace":${JSON.stringify(message.trace)}` : '') +
    (message.offset === null ? '' : `,"offset":${encodeText(message.offset)}`) +
    (message.previous === null
      ? ''
      : `,"previous":${encodeText(message.previous)}`) +
    (message.origin === null ? '}' : encodeOrigin(message.origin));
  if (isLongerThan(payload, maxBytes)) {
    throw new InvalidationSerializationError(
      `The message has ${Buffer.byteLength(payload)} bytes.`,
      `At most ${maxBytes} are sent (option maxMessageBytes); shorten its ids or its metadata.`,
    );
  }
  return payload;
}

/**
 * How a message of this origin ends. The origin comes last so that an instance
 * knows its own echo without parsing it.
 *
 * @internal
 */
export function encodeOrigin(origin: string): string {
  return `,"origin":${encodeText(origin)}}`;
}

/**
 * The journal offset of an own message, cut out without parsing: the journal writes
 * `offset` and `previous` before the origin.
 *
 * @returns `null` for one that is not in a journal
 * @internal
 */
export function readOwnPlace(
  payload: string,
): { offset: string; previous: string } | null {
  const end = payload.length - ENCODED_ORIGIN_LENGTH - 1;
  const previousAt = payload.lastIndexOf('"', end - 1) + 1;
  const offsetEnd = previousAt - PREVIOUS.length - 1;
  const offsetAt = payload.lastIndexOf('"', offsetEnd - 1) + 1;
  return payload.startsWith(PREVIOUS, previousAt - PREVIOUS.length) &&
    payload.startsWith(OFFSET, offsetAt - OFFSET.length)
    ? {
        offset: payload.slice(offsetAt, offsetEnd),
        previous: payload.slice(previousAt, end),
      }
    : null;
}

/** The id of an own message, cut out without parsing: it is the first field. @internal */
export function readOwnId(payload: string): string {
  return payload.slice(MESSAGE_ID_AT, MESSAGE_ID_AT + UUID_LENGTH);
}

function encodeEntityType(type: string): string {
  return isBuiltInEntityType(type)
    ? `"${type}"`
    : `{"Custom":${encodeText(type)}}`;
}

function encodeText(text: string | null): string {
  if (text === null) return 'null';
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

function encodeMetadata(metadata: unknown): string {
  if (metadata === null) return 'null';
  let json: string | undefined;
  try {
    json = JSON.stringify(metadata);
  } catch (cause) {
    throw notJson(cause);
  }
  // Readers would refuse such metadata, and the publisher would not know.
  if (json === undefined || !isSafeJson(JSON.parse(json))) throw notJson();
  return json;
}

function notJson(cause?: unknown): InvalidationSerializationError {
  return new InvalidationSerializationError(
    'The metadata cannot be sent.',
    'Give plain JSON: no cycles, bigints or functions, no __proto__ key, no deep nesting.',
    cause,
  );
}
