import { InvalidationSerializationError } from '../errors/index.js';
import { isBuiltInEntityType } from './entity-type.js';
import type { InvalidationMessage } from './invalidation-message.js';
import { encodeText } from './encode-text.js';
import { encodeOrigin } from './wire-layout.js';
import { isLongerThan, isSafeJson } from './wire-rules.js';

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
    // Absent in a message that an application made by hand.
    (message.trace ? `,"trace":${JSON.stringify(message.trace)}` : '') +
    (message.at ? `,"at":${JSON.stringify(message.at)}` : '') +
    (message.region ? `,"region":"${message.region}"` : '') +
    (message.path ? `,"path":${JSON.stringify(message.path)}` : '') +
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

function encodeEntityType(type: string): string {
  return isBuiltInEntityType(type)
    ? `"${type}"`
    : `{"Custom":${encodeText(type)}}`;
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
