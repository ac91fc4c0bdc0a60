import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addPlace,
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
  readSignature,
} from '../../lib/message/index.js';
import { MessageSigner, sealOf } from '../../lib/signing/index.js';
import { NEW, OLD, signing, STRANGE } from './keys.js';

const CHANNEL = 'cache:invalidate';
const instance = new Instance('user-service');

function payloadOf(metadata: unknown = null): string {
  const message = instance.stamp({ ...entity('User', '1'), metadata });
  return encodeMessage(message, Infinity);
}

function signer(options = signing(), channel = CHANNEL): MessageSigner {
  return MessageSigner.of(options, channel)!;
}

/** A message with a place, as the publish script writes it. */
function sealed(from: MessageSigner, offset: string, previous: string): string {
  const { payload, sealKey } = from.sign(payloadOf());
  const { mac } = readSignature(payload)!;
  const seal = sealOf({ offset, previous }, mac, sealKey);
  return addPlace(payload, offset, previous, seal);
}

describe('MessageSigner', () => {
  it('is absent without keys', () => {
    expect(MessageSigner.of(undefined, CHANNEL)).toBeNull();
  });

  it('verifies its own messages, without a place and with one', () => {
    expect(signer().verify(signer().sign(payloadOf()).payload)).toBeNull();
    expect(signer().verify(sealed(signer(), '7-1', '6-2'))).toBeNull();
  });

  it('leaves a message as readable as it was', () => {
    const payload = payloadOf({ a: ',"mac":"x"' });
    const before = decodeMessage(payload, Infinity);
    const after = decodeMessage(signer().sign(payload).payload, Infinity);
    expect(after).toEqual(before);
    expect(
      decodeMessage(sealed(signer(), '7-1', '6-2'), Infinity),
    ).toMatchObject({
      entityId: '1',
      offset: '7-1',
      previous: '6-2',
      origin: instance.origin,
    });
  });

  it('refuses what is not signed, and takes it while "all" is accepted', () => {
    const accepting = signer(signing({ new: NEW }, { accept: 'all' }));
    for (const payload of [
      payloadOf(),
      addPlace(payloadOf(), '7-1', '6-2'),
      '',
      '{}',
    ]) {
      expect(signer().verify(payload)).toBe('unsigned');
      expect(accepting.verify(payload)).toBeNull();
    }
  });

  it('refuses an unknown key, and takes it while "all" is accepted', () => {
    const { payload } = signer(signing({ strange: STRANGE })).sign(payloadOf());
    expect(signer().verify(payload)).toBe('unknown-key');
    const accepting = signer(signing({ new: NEW }, { accept: 'all' }));
    expect(accepting.verify(payload)).toBeNull();
  });

  it('refuses another secret under a known id, even while "all" is accepted', () => {
    const { payload } = signer(signing({ new: STRANGE })).sign(payloadOf());
    expect(signer().verify(payload)).toBe('bad-mac');
    const accepting = signer(signing({ new: NEW }, { accept: 'all' }));
    expect(accepting.verify(payload)).toBe('bad-mac');
  });

  it('signs with the chosen key and verifies with every key: keys can be rotated', () => {
    const both = { old: OLD, new: NEW };
    const before = signer(signing({ old: OLD }));
    const during = signer(signing(both, { signWith: 'old' }));
    const after = signer(signing(both, { signWith: 'new' }));
    const end = signer(signing({ new: NEW }));
    for (const [from, to] of [
      [before, during],
      [during, before],
      [during, after],
      [after, during],
      [after, end],
      [end, after],
    ] as const) {
      expect(to.verify(from.sign(payloadOf()).payload)).toBeNull();
    }
    expect(readSignature(after.sign(payloadOf()).payload)?.keyId).toBe('new');
    expect(readSignature(during.sign(payloadOf()).payload)?.keyId).toBe('old');
  });

  it('signs for one channel', () => {
    const other = signer(signing(), 'other');
    expect(other.verify(signer().sign(payloadOf()).payload)).toBe('bad-mac');
  });

  it('refuses a genuine message with another position of its commit, or without', () => {
    const at = { pg: '0/16B3748' };
    const { payload } = signer().sign(
      encodeMessage(instance.stamp(entity('User', 1), 0, at), Infinity),
    );
    const encoded = ',"at":{"pg":"0/16B3748"}';
    expect(signer().verify(payload)).toBeNull();
    expect(signer().verify(payload.replace('16B3748', '16B3747'))).toBe(
      'bad-mac',
    );
    expect(signer().verify(payload.replace(encoded, ''))).toBe('bad-mac');
    expect(
      signer().verify(payload.replace(',"kid"', ',"at":{"pg":"0/1"},"kid"')),
    ).toBe('bad-mac');
    expect(
      signer().verify(
        payload.replace(',"origin"', ',"at":{"pg":"0/1"},"origin"'),
      ),
    ).not.toBeNull();
  });

  it('refuses a genuine message with another place, or none that was sealed', () => {
    const genuine = sealed(signer(), '7-1', '6-2');
    const { seal } = readSignature(genuine)!;
    const { payload } = signer().sign(payloadOf());
    const moved = genuine.replace('"7-1"', '"9-1"');
    const relinked = genuine.replace('"6-2"', '"5-2"');
    expect(signer().verify(moved)).toBe('bad-seal');
    expect(signer().verify(relinked)).toBe('bad-seal');
    expect(signer().verify(addPlace(payload, '7-1', '6-2'))).toBe('bad-seal');
    expect(signer().verify(addPlace(payload, '7-1', '6-2', seal))).toBe(
      'bad-seal',
    );
  });

  it('does not take digits of one part of a place for those of the next', () => {
    const genuine = sealed(signer(), '7-12', '34-5');
    const shifted = genuine
      .replace('"7-12"', '"7-123"')
      .replace('"34-5"', '"4-5"');
    expect(signer().verify(genuine)).toBeNull();
    expect(signer().verify(shifted)).toBe('bad-seal');
  });

  it('refuses a message with one changed character', () => {
    const genuine = sealed(signer(), '1763846400000-5', '1763846399999-12');
    fc.assert(
      fc.property(
        fc.nat(genuine.length - 1),
        fc.constantFrom('insert', 'delete', 'replace'),
        fc.string({ minLength: 1, maxLength: 1 }),
        (at, how, character) => {
          const rest = how === 'insert' ? at : at + 1;
          const added = how === 'delete' ? '' : character;
          const changed = genuine.slice(0, at) + added + genuine.slice(rest);
          fc.pre(changed !== genuine);
          expect(signer().verify(changed)).not.toBeNull();
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
