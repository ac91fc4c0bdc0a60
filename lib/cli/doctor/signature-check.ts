import { readSignature } from '../../message/index.js';
import { ok, unknown, warn, type Check } from './finding.js';
import { lastEntries } from './journal-checks.js';

/** Verifies the last entries of the journal with the keys of the environment. @internal */
export const SIGNATURE_CHECK: Check = {
  name: 'signatures',
  async run(link) {
    const entries = await lastEntries(link);
    const count = entries.length;
    if (count === 0) return unknown('there is no message to verify');
    const { signer } = link;
    if (signer === null) {
      const signed = entries.filter(
        ({ payload }) => readSignature(payload) !== null,
      ).length;
      return signed === 0
        ? ok('none: messages are not signed')
        : unknown(
            `${signed} of the last ${count} messages are signed; CACHE_INVALIDATION_SIGNING_KEYS verifies them`,
          );
    }
    const reasons = entries
      .map(({ payload }) => signer.verify(payload))
      .filter((reason) => reason !== null);
    const counts = [...new Set(reasons)].map(
      (reason) =>
        `${reason} ${reasons.filter((other) => other === reason).length}`,
    );
    return reasons.length === 0
      ? ok(`verified: the last ${count} messages`)
      : warn(
          `${reasons.length} of the last ${count} messages are not obeyed: ${counts.join(', ')}`,
          'Give every service the same keys (option signing); accept "all" until all of them sign. Otherwise find out who else writes the journal.',
        );
  },
};
