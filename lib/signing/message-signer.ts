import { hash, timingSafeEqual } from 'node:crypto';
import {
  addKeyId,
  addMac,
  MESSAGE_ID_AT,
  MESSAGE_ID_END,
  readSignature,
  type Place,
} from '../message/index.js';
import { Hmac } from './hmac.js';
import { KeyRing } from './key-ring.js';
import type { SigningOptions } from './signing.options.js';

/**
 * The reason why a message was not obeyed: it has no signature, it is signed with a
 * key that is not known here, its signature is wrong, the signature of its place is
 * wrong, or it is too large to be verified.
 *
 * @internal
 */
export type UnverifiedReason =
  'unsigned' | 'unknown-key' | 'bad-mac' | 'bad-seal' | 'oversized';

/** A signed payload. @internal */
export interface SignedMessage {
  readonly payload: string;
  /** The key with which the publish script seals the place, good for this message only. */
  readonly sealKey: string;
}

/** One key, prepared for a channel. */
interface MessageKey {
  readonly body: Hmac;
  readonly seal: Hmac;
}

/** Length of half a seal key: each of two nested hashes has one. */
const HALF_KEY = 32;

/**
 * Signs the messages of one channel, and verifies them.
 *
 * A signature covers the channel and the message without its place in the journal,
 * which only the publish script knows. The script seals the place with a key made for
 * this one message, so that no secret reaches Redis.
 *
 * @internal
 */
export class MessageSigner {
  readonly #keys = new Map<string, MessageKey>();

  private constructor(
    private readonly ring: KeyRing,
    channel: string,
  ) {
    for (const [id, secret] of ring.secrets) {
      this.#keys.set(id, {
        body: new Hmac(secret, `${channel}\n`),
        seal: new Hmac(secret, 'seal\n'),
      });
    }
  }

  /** @param options checked ones; `undefined` where nothing is signed */
  static of(
    options: SigningOptions | undefined,
    channel: string,
  ): MessageSigner | null {
    const ring = KeyRing.of(options);
    return ring && new MessageSigner(ring, channel);
  }

  /** Whether unsigned messages and unknown keys are refused. */
  get isStrict(): boolean {
    return this.ring.isStrict;
  }

  /** @param payload a message that ends with its origin */
  sign(payload: string): SignedMessage {
    const { signWith } = this.ring;
    const key = this.#keys.get(signWith)!;
    const text = addKeyId(payload, signWith);
    const mac = key.body.digest(text, 'base64url');
    return { payload: addMac(text, mac), sealKey: sealKeyOf(key, text, mac) };
  }

  /** @returns `null` for a message to be obeyed */
  verify(payload: string): UnverifiedReason | null {
    const signed = readSignature(payload);
    if (signed === null) return this.isStrict ? 'unsigned' : null;
    const key = this.#keys.get(signed.keyId);
    if (key === undefined) return this.isStrict ? 'unknown-key' : null;
    const { text, mac, place, seal } = signed;
    if (!isEqual(mac, key.body.digest(text, 'base64url'))) return 'bad-mac';
    if (place === null) return null;
    const wanted = sealOf(place, mac, sealKeyOf(key, text, mac));
    return seal !== null && isEqual(seal, wanted) ? null : 'bad-seal';
  }
}

function sealKeyOf({ seal }: MessageKey, text: string, mac: string): string {
  const messageId = text.slice(MESSAGE_ID_AT, MESSAGE_ID_END);
  return seal.digest(`${messageId}\n${mac}`, 'hex');
}

/** The seal of a place, as the publish script computes it. @internal */
export function sealOf(
  { offset, previous }: Place,
  mac: string,
  sealKey: string,
): string {
  const inner = hash(
    'sha1',
    `${sealKey.slice(0, HALF_KEY)}${offset} ${previous} ${mac}`,
  );
  return hash('sha1', sealKey.slice(HALF_KEY) + inner);
}

function isEqual(one: string, other: string): boolean {
  return (
    one.length === other.length &&
    timingSafeEqual(Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1'))
  );
}
