/** The runs of `fill.pml`, each with its bound. */

import { runsOf } from './spec-runs.mjs';

/**
 * @typedef {object} SpecRun
 * @property {string} name
 * @property {readonly string[]} defines sizes, features, and at most one fault
 * @property {string} property `safety`, or the name of an ltl claim
 * @property {'holds' | 'violated'} expected
 */

const HOLDS = [
  ['one instance, two loads at once', 'INSTANCES=1 READS=2 CHANGES=2'],
  ['two instances, two changes', 'CHANGES=2'],
  ['two instances, another row changes, too', 'CHANGES=1 OTHERS=1 DROPS MANY'],
  ['entries that expire', 'CHANGES=1 OTHERS=1 TTL'],
  ['an instance that starts late', 'CHANGES=1 OTHERS=1 LATE'],
  ['an instance that restarts', 'CHANGES=2 OWN=0 RESTARTS=1'],
  ['forged offsets', 'CHANGES=1 OWN=0 LATE FORGED=2'],
  ['loads while an instance sweeps', 'CHANGES=1 OWN=0 SWEEP'],
  ['put only after earlier offsets', 'CHANGES=1 DROPS HARMLESS_PUT_EQUAL'],
  ['mark at the end of a load', 'CHANGES=1 OTHERS=1 HARMLESS_MARK_AT_LANDING'],
];

const COHERENT = [
  ['one instance in the end', 'INSTANCES=1 CHANGES=1 OTHERS=1 TTL DROPS'],
  ['two instances in the end', 'CHANGES=1 TTL'],
  ['sweeper that stops', 'CHANGES=2 OWN=0 STORED SWEEP RESTARTS=1'],
];

const SAFETY_FAULTS = [
  ['L1 keeps what is invalidated', 'INSTANCES=1 CHANGES=1 MUTANT_KEEP_L1'],
  ['fence after the load', 'INSTANCES=1 CHANGES=1 MUTANT_FENCE_AFTER_LOAD'],
  [
    'reads join an overtaken load',
    'INSTANCES=1 READS=2 CHANGES=1 MUTANT_JOIN_OVERTAKEN',
  ],
  ['mark after the load', 'CHANGES=1 MUTANT_MARK_AFTER_LOAD'],
  ['entries served unchecked', 'CHANGES=1 MUTANT_ACCEPT_UNCHECKED'],
  ['entries kept unchecked', 'CHANGES=1 MANY MUTANT_FOUND_UNCHECKED'],
  [
    'own messages count from their delivery',
    'CHANGES=1 OTHERS=1 MUTANT_EARLY_UNCOUNTED',
  ],
  [
    'own messages settle at the reply',
    'CHANGES=1 OTHERS=1 MUTANT_SETTLE_AT_REPLY',
  ],
  [
    'fences hold after a widened message',
    'CHANGES=1 OWN=0 MUTANT_KEEP_FENCES_WIDENED',
  ],
  ['put without compare', 'CHANGES=1 DROPS MUTANT_PUT_BLINDLY'],
  ['delete without compare', 'CHANGES=1 DROPS MUTANT_DROP_BLINDLY'],
  ['delete with >= for >', 'CHANGES=1 DROPS MUTANT_DROP_EQUAL'],
  ['sweep without compare', 'CHANGES=1 OWN=0 SWEEP MUTANT_SWEEP_BLINDLY'],
  ['late instance trusts every entry', 'CHANGES=1 LATE MUTANT_LATE_TRUSTS_ALL'],
  [
    'offset from the channel',
    'CHANGES=1 OWN=0 LATE FORGED=2 MUTANT_CLAIMED_OFFSET',
  ],
  ['an entry that was recalled', 'CHANGES=1 OTHERS=1 LATE PROBE_RECALLED'],
];

const SWEEP = 'CHANGES=1 OWN=0 STORED SWEEP RESTARTS=1';
const COHERENT_FAULTS = [
  [
    'own messages settle with > for >=',
    'INSTANCES=1 CHANGES=1 MUTANT_SETTLE_EQUAL',
  ],
  ['sweeper without a successor', `${SWEEP} MUTANT_NO_SUCCESSOR`],
  ['sweep recorded before it is done', `${SWEEP} MUTANT_RECORD_FIRST`],
  ['lease that does not end', `${SWEEP} MUTANT_LEASE_FOREVER`],
];

/** @type {{ file: string, runs: readonly SpecRun[] }} */
export const FILL = {
  file: 'fill.pml',
  runs: runsOf({
    holds: HOLDS,
    coherent: COHERENT,
    safetyFaults: SAFETY_FAULTS,
    coherentFaults: COHERENT_FAULTS,
  }),
};
