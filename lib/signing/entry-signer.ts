import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyRing } from './key-ring.js';

const SALT = 16;
const IV = 12;
const TAG = 16;
const CIPHER = 'aes-256-gcm';

/** Begins the line of a signed entry, and of an encrypted one. */
const SIGNED = 's';
const ENCRYPTED = 'e';
const LINE = /^([se])([\w.-]{1,32}) ([\w-]+)$/;
/** A longer line is none of ours. */
const LONGEST_LINE = 128;

/**
 * Signs the entries of one second tier, or encrypts them, with keys derived for its
 * prefix. A signature covers the entry's name and its offset, too: an entry cannot be
 * moved to another name, or be given another offset.
 *
 * @internal
 */
export class EntrySigner {
  readonly #keys = new Map<string, Buffer>();

  constructor(
    private readonly ring: KeyRing,
    /** Database, prefix of the connection, and prefix of the entries' names. */
    prefix: string,
    private readonly encrypts: boolean,
  ) {
    for (const [id, secret] of ring.secrets) {
      const key = hkdfSync('sha256', secret, '', `second tier\n${prefix}`, 32);
      this.#keys.set(id, Buffer.from(key));
    }
  }

  /** The content of an entry, after a line with its signature. */
  sign(name: string, offset: string, content: Buffer): Buffer {
    const { signWith } = this.ring;
    const key = this.#keys.get(signWith)!;
    if (!this.encrypts) {
      const mac = macOf(key, name, offset, content);
      return withLine(SIGNED, signWith, mac, content);
    }
    // A key for each entry: no count of entries wears out one key.
    const salt = randomBytes(SALT);
    const iv = randomBytes(IV);
    const cipher = createCipheriv(CIPHER, entryKeyOf(key, salt), iv);
    cipher.setAAD(Buffer.from(placeOf(name, offset)));
    const secret = Buffer.concat([cipher.update(content), cipher.final()]);
    const parts = Buffer.concat([salt, iv, cipher.getAuthTag()]);
    return withLine(ENCRYPTED, signWith, parts, secret);
  }

  /** @returns the content; `null` for an entry that cannot be verified */
  open(name: string, offset: string, signed: Buffer): Buffer | null {
    const end = signed.subarray(0, LONGEST_LINE).indexOf('\n');
    const line = LINE.exec(signed.toString('latin1', 0, Math.max(end, 0)));
    if (line === null)
      return this.ring.isStrict || this.encrypts ? null : signed;
    const [, form, keyId = '', proof = ''] = line;
    const key = this.#keys.get(keyId);
    const content = signed.subarray(end + 1);
    if (key === undefined) return null;
    const bytes = Buffer.from(proof, 'base64url');
    if (form === ENCRYPTED) return decrypted(key, name, offset, bytes, content);
    // A tier that encrypts takes no plain entry, though it is signed.
    if (this.encrypts) return null;
    const mac = macOf(key, name, offset, content);
    return bytes.length === mac.length && timingSafeEqual(bytes, mac)
      ? content
      : null;
  }
}

function withLine(
  form: string,
  keyId: string,
  proof: Buffer,
  content: Buffer,
): Buffer {
  const line = `${form}${keyId} ${proof.toString('base64url')}\n`;
  return Buffer.concat([Buffer.from(line), content]);
}

function placeOf(name: string, offset: string): string {
  return `${offset}\n${Buffer.byteLength(name)}\n${name}`;
}

function macOf(
  key: Buffer,
  name: string,
  offset: string,
  content: Buffer,
): Buffer {
  return createHmac('sha256', key)
    .update(placeOf(name, offset))
    .update(content)
    .digest();
}

function entryKeyOf(key: Buffer, salt: Buffer): Buffer {
  return createHmac('sha256', key).update('entry').update(salt).digest();
}

function decrypted(
  key: Buffer,
  name: string,
  offset: string,
  parts: Buffer,
  content: Buffer,
): Buffer | null {
  if (parts.length !== SALT + IV + TAG) return null;
  const salt = parts.subarray(0, SALT);
  const iv = parts.subarray(SALT, SALT + IV);
  const cipher = createDecipheriv(CIPHER, entryKeyOf(key, salt), iv);
  cipher.setAAD(Buffer.from(placeOf(name, offset)));
  cipher.setAuthTag(parts.subarray(SALT + IV));
  try {
    return Buffer.concat([cipher.update(content), cipher.final()]);
  } catch {
    return null;
  }
}
