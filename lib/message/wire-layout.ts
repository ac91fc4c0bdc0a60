import { randomUUID } from 'node:crypto';
import { encodeText } from './encode-text.js';

/*
 * Byte positions in the payload of a message of this library: the message id comes first,
 * the origin last, and the journal writes `offset` and `previous` before the
 * origin. So an instance knows its own echo without parsing it, and the publish
 * script need not parse at all.
 */

const PREVIOUS = ',"previous":"';
const OFFSET = ',"offset":"';

/** First byte of the message id. @internal */
export const MESSAGE_ID_AT = '{"message_id":"'.length;
const UUID_LENGTH = 36;
/** First byte after the message id. @internal */
export const MESSAGE_ID_END = MESSAGE_ID_AT + UUID_LENGTH;

/** Length of the encoded origin, which ends the payload. @internal */
export const ENCODED_ORIGIN_LENGTH = encodeOrigin(randomUUID()).length;

/** Position of the origin's last character from the end: before a quote and a brace. */
const LAST_OF_ORIGIN = 3;

/** The end of every payload of an origin. @internal */
export function encodeOrigin(origin: string): string {
  return `,"origin":${encodeText(origin)}}`;
}

/**
 * Whether a payload ends with an encoded origin. One character is compared first,
 * since comparing the whole end costs half as much as all other checks.
 *
 * @internal
 */
export function isSignedWith(payload: string, encodedOrigin: string): boolean {
  return (
    payload.charCodeAt(payload.length - LAST_OF_ORIGIN) ===
      encodedOrigin.charCodeAt(encodedOrigin.length - LAST_OF_ORIGIN) &&
    payload.endsWith(encodedOrigin)
  );
}

/** The message id of an own message, without parsing. @internal */
export function readOwnId(payload: string): string {
  return payload.slice(MESSAGE_ID_AT, MESSAGE_ID_END);
}

/**
 * The place of an own message in the journal, without parsing.
 *
 * @returns `null` for a message without a place in the journal
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

/** Writes the place in the journal into a payload, as the publish script does. @internal */
export function addPlace(
  payload: string,
  offset: string,
  previous: string,
): string {
  return (
    payload.slice(0, -ENCODED_ORIGIN_LENGTH) +
    `${OFFSET}${offset}"${PREVIOUS}${previous}"` +
    payload.slice(-ENCODED_ORIGIN_LENGTH)
  );
}
