import { randomUUID } from 'node:crypto';
import { encodeText } from './encode-text.js';

/*
 * Byte positions in the payload of a message of this library: the message id comes first,
 * the origin last. Before the origin stand the signature (`kid`, `mac`), if messages are
 * signed, and the place (`offset`, `previous`, of a signed message also `seal`), which the
 * journal writes. So an instance knows its own echo without parsing it, and the publish
 * script need not parse at all.
 */

const KEY_ID = ',"kid":"';
const MAC = ',"mac":"';
const OFFSET = ',"offset":"';
const PREVIOUS = ',"previous":"';
const SEAL = ',"seal":"';

/** Length of an HMAC-SHA256 in base64url. @internal */
export const MAC_LENGTH = 43;
/** Length of a SHA-1 in hexadecimal. */
const SEAL_LENGTH = 40;
const ENCODED_MAC_LENGTH = MAC.length + MAC_LENGTH + 1;
const ENCODED_SEAL_LENGTH = SEAL.length + SEAL_LENGTH + 1;

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

/** A place in the journal. @internal */
export interface Place {
  readonly offset: string;
  readonly previous: string;
}

/**
 * The place of an own message in the journal, without parsing.
 *
 * @returns `null` for a message without a place in the journal
 * @internal
 */
export function readOwnPlace(payload: string): Place | null {
  return readPlace(payload, sealAt(payload, originAt(payload)));
}

/** Writes the place in the journal into a payload, as the publish script does. @internal */
export function addPlace(
  payload: string,
  offset: string,
  previous: string,
  seal: string | null = null,
): string {
  const sealed = seal === null ? '' : `${SEAL}${seal}"`;
  return before(
    payload,
    `${OFFSET}${offset}"${PREVIOUS}${previous}"${sealed}`,
    originAt(payload),
  );
}

/** The text that a signature covers: the message with the id of the key. @internal */
export function addKeyId(payload: string, keyId: string): string {
  return before(payload, `${KEY_ID}${keyId}"`, originAt(payload));
}

/** Adds the signature to the text that it covers. @internal */
export function addMac(text: string, mac: string): string {
  return before(text, `${MAC}${mac}"`, originAt(text));
}

/** The parts of a signed payload. @internal */
export interface SignedPayload {
  readonly keyId: string;
  readonly mac: string;
  /** The text that the signature covers. */
  readonly text: string;
  /** `null` without a place in the journal. */
  readonly place: Place | null;
  /** The proof of the place; `null` if there is none. */
  readonly seal: string | null;
}

/**
 * Reads the signature of a payload, without parsing.
 *
 * @returns `null` for a payload without a signature
 * @internal
 */
export function readSignature(payload: string): SignedPayload | null {
  const end = originAt(payload);
  const sealedAt = sealAt(payload, end);
  const place = readPlace(payload, sealedAt);
  const signedEnd = place === null ? sealedAt : placeAt(place, sealedAt);
  const macAt = signedEnd - ENCODED_MAC_LENGTH;
  const keyIdAt = payload.lastIndexOf('"', macAt - 2) + 1;
  if (
    !payload.startsWith(MAC, macAt) ||
    payload[signedEnd - 1] !== '"' ||
    !payload.startsWith(KEY_ID, keyIdAt - KEY_ID.length)
  ) {
    return null;
  }
  return {
    keyId: payload.slice(keyIdAt, macAt - 1),
    mac: payload.slice(macAt + MAC.length, signedEnd - 1),
    text: payload.slice(0, macAt) + payload.slice(end),
    place,
    seal:
      sealedAt === end ? null : payload.slice(sealedAt + SEAL.length, end - 1),
  };
}

function before(payload: string, added: string, at: number): string {
  return payload.slice(0, at) + added + payload.slice(at);
}

function originAt(payload: string): number {
  return payload.length - ENCODED_ORIGIN_LENGTH;
}

/** Position of the seal; the position at which it would end, if there is none. */
function sealAt(payload: string, end: number): number {
  const at = end - ENCODED_SEAL_LENGTH;
  return payload.startsWith(SEAL, at) && payload[end - 1] === '"' ? at : end;
}

function placeAt({ offset, previous }: Place, end: number): number {
  return (
    end - OFFSET.length - offset.length - PREVIOUS.length - previous.length - 2
  );
}

/** @param end position after the quote that ends `previous` */
function readPlace(payload: string, end: number): Place | null {
  const previousAt = payload.lastIndexOf('"', end - 2) + 1;
  const offsetEnd = previousAt - PREVIOUS.length - 1;
  const offsetAt = payload.lastIndexOf('"', offsetEnd - 1) + 1;
  return payload[end - 1] === '"' &&
    payload.startsWith(PREVIOUS, previousAt - PREVIOUS.length) &&
    payload[offsetEnd] === '"' &&
    payload.startsWith(OFFSET, offsetAt - OFFSET.length)
    ? {
        offset: payload.slice(offsetAt, offsetEnd),
        previous: payload.slice(previousAt, end - 1),
      }
    : null;
}
