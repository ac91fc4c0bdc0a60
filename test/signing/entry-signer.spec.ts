import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EntrySigner, KeyRing } from '../../lib/signing/index.js';
import { NEW, OLD, signing, STRANGE } from './keys.js';

const content = Buffer.from('v{"name":"Ada"}\n');

type Keys = Record<string, string>;

function signer({
  options = signing(),
  prefix = 'near:user-service:',
  encrypts = false,
} = {}): EntrySigner {
  return new EntrySigner(KeyRing.of(options)!, prefix, encrypts);
}

describe.each([
  ['signed', false],
  ['encrypted', true],
])('EntrySigner, %s', (_, encrypts) => {
  const one = signer({ encrypts });
  const signed = one.sign('near:user-service:user:1', '7-1', content);

  it('opens its own entries', () => {
    expect(one.open('near:user-service:user:1', '7-1', signed)).toEqual(
      content,
    );
    expect(signed.includes('Ada')).toBe(!encrypts);
  });

  it('refuses an entry under another name, at another offset, or of another prefix', () => {
    expect(one.open('near:user-service:user:2', '7-1', signed)).toBeNull();
    expect(one.open('near:user-service:user:1', '9-1', signed)).toBeNull();
    const other = signer({ encrypts, prefix: 'near:other:' });
    expect(other.open('near:user-service:user:1', '7-1', signed)).toBeNull();
  });

  it('refuses another secret, and an unknown key', () => {
    for (const keys of [{ new: STRANGE }, { strange: NEW }] as Keys[]) {
      const other = signer({ options: signing(keys), encrypts });
      expect(other.open('near:user-service:user:1', '7-1', signed)).toBeNull();
    }
  });

  it('verifies with every key', () => {
    const options = signing({ old: OLD, new: NEW }, { signWith: 'old' });
    const rotating = signer({ options, encrypts });
    const name = 'near:user-service:user:1';
    expect(rotating.open(name, '7-1', signed)).toEqual(content);
    expect(
      one.open(name, '7-1', rotating.sign(name, '7-1', content)),
    ).toBeNull();
  });

  it('refuses an entry with one changed byte', () => {
    fc.assert(
      fc.property(
        fc.nat(signed.length - 1),
        fc.integer({ min: 1, max: 255 }),
        (at, change) => {
          const changed = Buffer.from(signed);
          changed[at]! ^= change;
          const opened = one.open('near:user-service:user:1', '7-1', changed);
          // The last character of base64url has bits that are not used.
          expect([null, content]).toContainEqual(opened);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it.each([
    '',
    '\n',
    's',
    'snew \n',
    'enew AAAA\nx',
    'snew AAAA\nx',
    'x'.repeat(300),
  ])('refuses what is no signed entry: %j', (text) => {
    expect(
      one.open('near:user-service:user:1', '7-1', Buffer.from(text)),
    ).toBeNull();
  });
});

describe('EntrySigner', () => {
  const name = 'near:user-service:user:1';

  it('refuses unsigned entries, and takes them while "all" is accepted', () => {
    const options = signing({ new: NEW }, { accept: 'all' });
    expect(signer().open(name, '7-1', content)).toBeNull();
    expect(signer({ options }).open(name, '7-1', content)).toEqual(content);
  });

  it('takes only encrypted entries where it encrypts', () => {
    const options = signing({ new: NEW }, { accept: 'all' });
    const signed = signer().sign(name, '7-1', content);
    const encrypting = signer({ options, encrypts: true });
    expect(encrypting.open(name, '7-1', content)).toBeNull();
    expect(encrypting.open(name, '7-1', signed)).toBeNull();
    const encrypted = encrypting.sign(name, '7-1', content);
    expect(signer().open(name, '7-1', encrypted)).toEqual(content);
  });

  it('encrypts an entry differently each time', () => {
    const one = signer({ encrypts: true });
    expect(one.sign(name, '7-1', content)).not.toEqual(
      one.sign(name, '7-1', content),
    );
  });
});
