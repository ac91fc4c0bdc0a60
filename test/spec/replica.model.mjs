/** The runs of `fill.pml` with replicas and snapshots, each with its bound. */

import { runsOf } from './spec-runs.mjs';

const ONE = 'INSTANCES=1 OWN=0 REPLICA';
const TWO = 'INSTANCES=2 OWN=0 REPLICA';

const HOLDS = [
  ['replica, positions of all kinds', `${ONE} CHANGES=2 ASKED`],
  ['replica, own message', 'INSTANCES=1 CHANGES=1 REPLICA ASKED DROPS'],
  [
    'replica with a loader of the primary',
    'INSTANCES=1 CHANGES=2 OWN=0 REPLICA PRIMARY',
  ],
  ['replica, two loads at once', `${ONE} READS=2 CHANGES=1 ASKED`],
  ['a replica for each of two instances', `${TWO} CHANGES=1`],
  ['replica, an instance that starts late', `${TWO} CHANGES=1 AT_ONCE LATE`],
  [
    'replica, an instance that restarts',
    `${TWO} CHANGES=1 AT_ONCE NARROW RESTARTS=1`,
  ],
  [
    'replica, two instances, two changes',
    `${TWO} CHANGES=2 REPLICAS=1 AT_ONCE NARROW TOLD`,
  ],
  [
    'replica, two instances, loader of the primary',
    `${TWO} CHANGES=1 REPLICAS=1 AT_ONCE PRIMARY`,
  ],
  ['replica, other servers', `${ONE} CHANGES=1 MOVES`],
  ['transactions that bypass', 'CHANGES=1 SNAPSHOT'],
  ['transactions that bypass, replica', `${ONE} CHANGES=1 ASKED SNAPSHOT`],
];

const COHERENT = [
  ['replica, in the end', `${ONE} CHANGES=1 TTL`],
  [
    'replica, own message in the end',
    'INSTANCES=1 CHANGES=1 REPLICA PRIMARY ASKED AT_ONCE TTL',
  ],
];

const SAFETY_FAULTS = [
  ['passed with >= for >', `${ONE} CHANGES=1 MUTANT_PASSED_EQUAL`],
  ['marks forgotten by time', `${ONE} CHANGES=1 MUTANT_FORGOTTEN_BY_TIME`],
  ['mark after the eviction', `${ONE} CHANGES=1 MUTANT_MARK_LATE`],
  ['marks checked at landing', `${ONE} CHANGES=1 MUTANT_CHECKED_AT_LANDING`],
  [
    'no mark at the start',
    `${TWO} CHANGES=1 REPLICAS=1 AT_ONCE LATE MUTANT_START_UNMARKED`,
  ],
  ['no mark when widened', `${ONE} CHANGES=1 TOLD MUTANT_WIDENED_UNMARKED`],
  ['no mark without a position', `${ONE} CHANGES=1 MUTANT_UNTOLD_UNMARKED`],
  [
    'position asked for before the message',
    `${ONE} CHANGES=2 NARROW MUTANT_ASKED_BEFORE`,
  ],
  [
    'position of inside the transaction',
    `${ONE} CHANGES=1 MUTANT_IN_TRANSACTION`,
  ],
  ['last mark for the latest', `${ONE} CHANGES=2 MUTANT_MARK_REPLACED`],
  ['rows that are behind are shared', `${ONE} CHANGES=1 MUTANT_SHARE_BEHIND`],
  ['reads join a load that is behind', `${ONE} CHANGES=1 MUTANT_JOIN_BEHIND`],
  [
    'another server, nothing marked',
    `${ONE} CHANGES=1 MOVES MUTANT_MOVED_UNMARKED`,
  ],
  [
    'loads in a snapshot are kept',
    'INSTANCES=1 CHANGES=1 OWN=0 SNAPSHOT MUTANT_NO_BYPASS',
  ],
];

const COHERENT_FAULTS = [
  [
    'marks at the whole end of an idle log',
    `${ONE} CHANGES=1 TTL MUTANT_WHOLE_END`,
  ],
];

/** @type {import('./spec-model.js').SpecModel} */
export const REPLICA = {
  file: 'fill.pml',
  runs: runsOf({
    holds: HOLDS,
    coherent: COHERENT,
    safetyFaults: SAFETY_FAULTS,
    coherentFaults: COHERENT_FAULTS,
  }),
};
