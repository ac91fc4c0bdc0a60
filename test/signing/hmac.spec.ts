import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Hmac } from '../../lib/signing/hmac.js';

describe('Hmac', () => {
  // RFC 4231, test cases 1, 2 and 6.
  it.each([
    [
      Buffer.alloc(20, 0x0b),
      'Hi There',
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    ],
    [
      Buffer.from('Jefe'),
      'what do ya want for nothing?',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      Buffer.alloc(131, 0xaa),
      'Test Using Larger Than Block-Size Key - Hash Key First',
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
  ])('is HMAC-SHA256', (secret, text, digest) => {
    expect(new Hmac(secret).digest(text, 'hex')).toBe(digest);
  });

  it('is what createHmac() computes, text after text', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 100 }),
        text,
        fc.array(text, { minLength: 1 }),
        (secret, prefix, texts) => {
          const hmac = new Hmac(secret, prefix);
          for (const each of texts) {
            const wanted = createHmac('sha256', secret);
            wanted.update(prefix).update(each);
            expect(hmac.digest(each, 'base64url')).toBe(
              wanted.digest('base64url'),
            );
          }
        },
      ),
    );
  });

  it('takes texts that are larger than its buffer, and then small ones', () => {
    const hmac = new Hmac(Buffer.alloc(32, 7), 'prefix\n');
    for (const text of [
      'ž'.repeat(65_536),
      'x'.repeat(21_845),
      'x'.repeat(21_846),
      '',
    ]) {
      const wanted = createHmac('sha256', Buffer.alloc(32, 7));
      wanted.update(`prefix\n${text}`);
      expect(hmac.digest(text, 'hex')).toBe(wanted.digest('hex'));
    }
  });
});
