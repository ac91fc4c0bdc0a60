/** @typedef {import('./spec-model.js').SpecModel} SpecModel */

const run = ([name, defines], expected, property = 'safety') => ({
  name: `regions: ${name}`,
  defines: defines.split(' '),
  property,
  expected,
});

const HOLDS = [
  ['cut or lost', 'CUT LOSE WRITES=3 FAULTS=3'],
  ['cut, journal of the source trimmed', 'CUT TRIM WRITES=3 FAULTS=3'],
  ['first start', 'FIRST CUT TRIM KILL FAULTS=3'],
  ['relay killed, calls cut off', 'KILL LOCAL_CUT CUT WRITES=3 FAULTS=3'],
  ['failover of the source', 'SOURCE_FAILOVER BEYOND TRIM COUNTED'],
  [
    'two failovers of the source',
    'SOURCE_FAILOVER CUT WRITES=1 FAULTS=2 COUNTED',
  ],
  ['failover here', 'LOCAL_FAILOVER CUT TRIM WRITES=3 FAULTS=2'],
  [
    'failovers on both sides',
    'SOURCE_FAILOVER LOCAL_FAILOVER KILL WRITES=1 FAULTS=2 COUNTED',
  ],
  ['two relays at once', 'RELAYS=2 FAULTS=0'],
  [
    'two relays, first start, one killed',
    'RELAYS=2 FIRST CUT KILL LOCAL_CUT WRITES=1',
  ],
  ['two relays, failover here', 'RELAYS=2 LOCAL_FAILOVER WRITES=1'],
  [
    'two relays, failover of the source',
    'RELAYS=2 ONE_BEAT SOURCE_FAILOVER WRITES=1 COUNTED',
  ],
  [
    'all but a failover of the source',
    'FIRST CUT LOSE TRIM KILL LOCAL_CUT LOCAL_FAILOVER FAULTS=3',
  ],
];

const HEALS = [
  ['heals: cut, lost, trimmed', 'CUT LOSE TRIM FAULTS=3'],
  [
    'heals: failovers of the source',
    'SOURCE_FAILOVER CUT TRIM WRITES=1 FAULTS=2 COUNTED',
  ],
  [
    'heals: failover here, relay killed',
    'FIRST LOCAL_FAILOVER KILL LOCAL_CUT FAULTS=2',
  ],
  ['heals: two relays, one killed', 'RELAYS=2 KILL WRITES=1'],
];

const MUTANTS = [
  [
    'record set without compare',
    'MUTANT_SET_WITHOUT_COMPARE RELAYS=2 FAULTS=0',
  ],
  ['record set after the journal', 'MUTANT_PUBLISH_BEFORE_SET KILL'],
  ['record set before the journal', 'MUTANT_SET_BEFORE_PUBLISH KILL'],
  [
    'a tail that moved back is trusted',
    'MUTANT_TRUST_MOVED_TAIL SOURCE_FAILOVER',
  ],
  ['proof before the script', 'MUTANT_PROVE_BEFORE_FORWARD FAULTS=0'],
  ['proof without compare', 'MUTANT_PROVE_BLINDLY LOCAL_FAILOVER'],
  ['no widening on a broken chain', 'MUTANT_NO_WIDENING CUT TRIM FAULTS=2'],
  ['widening whatever the journal has', 'MUTANT_WIDEN_ALWAYS CUT'],
  ['empty journal recorded as none', 'MUTANT_EMPTY_AS_NONE FIRST FAULTS=0'],
  ['proof read after the local journal', 'MUTANT_PROOF_READ_LAST FAULTS=0'],
  ['local heartbeat across a failover', 'MUTANT_TORN_BEAT LOCAL_FAILOVER'],
  [
    'heartbeat of the relay across a failover',
    'MUTANT_TORN_RELAY_BEAT SOURCE_FAILOVER BEYOND',
  ],
  [
    'record goes back uncounted, two relays',
    'RELAYS=2 ONE_BEAT SOURCE_FAILOVER WRITES=1',
  ],
  [
    'record goes back uncounted, late call',
    'SOURCE_FAILOVER KILL WRITES=1 FAULTS=2',
  ],
  [
    'published again after a failover',
    'SOURCE_FAILOVER COUNTED BY_MESSAGE WRITES=1',
  ],
];

const STUCK = [
  [
    'heals: a tail that moved back is trusted',
    'MUTANT_TRUST_MOVED_TAIL SOURCE_FAILOVER WRITES=1',
  ],
];

/**
 * One relay or two, from a source to a local instance.
 *
 * @type {SpecModel}
 */
export const REGIONS = {
  file: 'regions.pml',
  runs: [
    ...HOLDS.map((one) => run(one, 'holds')),
    ...HEALS.map((one) => heals(one, 'holds')),
    ...MUTANTS.map((one) => run(one, 'violated')),
    ...STUCK.map((one) => heals(one, 'violated')),
  ],
};

const MESH_HOLDS = [
  ['mesh', 'MESH'],
  ['mesh, first start', 'MESH FIRST MESSAGES=1'],
  ['mesh, trimmed', 'MESH TRIM FAULTS=1'],
  ['mesh, one failover', 'MESH FAILOVER REPEATS FAULTS=1 MESSAGES=2'],
  ['mesh with transit', 'MESH TRANSIT REPEATS MESSAGES=2'],
  ['hub, four messages', 'HUB MESSAGES=4'],
  ['hub, first start', 'HUB FIRST'],
  ['hub, trimmed', 'HUB TRIM FAULTS=2'],
  ['hub, one failover', 'HUB FAILOVER REPEATS FAULTS=1'],
  ['hub, transit everywhere, trimmed', 'HUB TRANSIT TRIM FAULTS=2'],
  ['ring, trimmed', 'RING TRIM FAULTS=2'],
];

const MESH_MUTANTS = [
  ['mesh, all forwarded', 'MESH MUTANT_FORWARD_ALL REPEATS'],
  ['hub, all forwarded', 'HUB MUTANT_FORWARD_ALL'],
  ['hub, paths ignored', 'HUB TRANSIT MUTANT_NO_PATH'],
  ['mesh with transit announces twice', 'MESH TRANSIT'],
  ['hub announces again after a failover', 'HUB FAILOVER FAULTS=1'],
];

/**
 * Three regions that relay to each other.
 *
 * @type {SpecModel}
 */
export const REGIONS_MESH = {
  file: 'regions-mesh.pml',
  runs: [
    ...MESH_HOLDS.map((one) => run(one, 'holds')),
    ...MESH_MUTANTS.map((one) => run(one, 'violated')),
  ],
};

function heals([name, defines], expected) {
  return run([name, `LTL ${defines}`], expected, 'heals');
}
