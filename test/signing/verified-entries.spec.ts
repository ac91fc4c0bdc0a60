import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { MessageSigner } from '../../lib/signing/index.js';
import { verifyEntries } from '../../lib/transport/verification.js';

it('A long page of the journal is verified in slices, in its order', async () => {
  const keys = { one: randomBytes(32).toString('base64') };
  const signer = MessageSigner.of({ keys }, 'a')!;
  const entries = Array.from({ length: 2_500 }, (_, i) => ({
    offset: `${i}-0`,
    payload: '{}',
  }));
  let turns = 0;
  const turn = (): void => void (turns++, (next = setImmediate(turn)));
  let next = setImmediate(turn);
  const verified = await verifyEntries(entries, signer);
  clearImmediate(next);
  expect(turns).toBeGreaterThanOrEqual(2);
  expect(verified).toEqual(
    entries.map(({ offset }) => ({
      offset,
      payload: '',
      unverified: 'unsigned',
    })),
  );
});
