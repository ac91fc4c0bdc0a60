/** @typedef {import('./spec-model.js').SpecModel} SpecModel */

const run = ([name, defines], expected, property = 'safety') => ({
  name: `postgres: ${name}`,
  defines: defines.split(' '),
  property,
  expected,
});

const HOLDS = [
  ['first start, killed', 'TXS=3 FIRST KILL'],
  ['killed, calls lost, ids trimmed', 'TXS=3 KILL LOST_CALL TRIM FAULTS=3'],
  ['two holders', 'HOLDERS=2 KILL CUT FAULTS=3'],
  ['two holders, slot lost', 'HOLDERS=2 KILL CUT LOSE_SLOT RECREATE FAULTS=2'],
  ['slot lost or recreated', 'TXS=3 KILL LOSE_SLOT RECREATE FAULTS=2'],
  ['crash', 'CRASH KILL TRIM FAULTS=3'],
  ['crash, asynchronous commits', 'ASYNC CRASH KILL FAULTS=2'],
  ['failover', 'FAILOVER FAULTS=2'],
  ['failover, killed', 'TXS=1 FAILOVER KILL FAULTS=3'],
  ['two holders, failover', 'HOLDERS=2 FAILOVER CUT'],
  ['failover of Redis', 'TXS=3 REDIS_FAILOVER KILL FAULTS=2'],
  [
    'failovers on both sides',
    'TXS=1 FAILOVER REDIS_FAILOVER KILL FAULTS=3 JOURNAL=12',
  ],
  [
    'two holders, failover of Redis',
    'HOLDERS=2 REDIS_FAILOVER KILL CUT WIPED FAULTS=2',
  ],
  ['loads and fences', 'LOADS LOSE_SLOT FAILOVER KILL'],
  ['announced early, and again', 'GIVE_UP KILL TRIM FAULTS=3'],
  ['deferred: killed, calls lost', 'DEFER KILL LOST_CALL FAULTS=2'],
  ['deferred: slot lost, two holders', 'DEFER HOLDERS=2 KILL CUT LOSE_SLOT'],
  [
    'deferred: failovers',
    'TXS=1 DEFER FAILOVER REDIS_FAILOVER KILL FAULTS=2 JOURNAL=12',
  ],
  ['deferred: crash', 'DEFER ASYNC CRASH KILL FAULTS=1'],
  [
    'everything',
    'TXS=1 FIRST KILL LOST_CALL CUT LOSE_SLOT RECREATE CRASH FAILOVER REDIS_FAILOVER WIPED FAULTS=2 JOURNAL=12',
  ],
  [
    'acknowledged first, position compared',
    'MUTANT_ACK_FIRST KILL CUT FAULTS=2',
  ],
  [
    'acknowledged by a timer, position compared',
    'MUTANT_ACK_TIMER KILL CUT FAULTS=2',
  ],
  [
    'a lost call taken as done, record compared',
    'MUTANT_LOST_IS_DONE LOST_CALL',
  ],
];

const HEALS = [
  ['heals: slot lost, killed', 'HOLDERS=2 FIRST KILL LOSE_SLOT'],
  [
    'heals: failovers',
    'TXS=1 FAILOVER REDIS_FAILOVER LOST_CALL FAULTS=2 JOURNAL=12',
  ],
  ['heals: deferred', 'TXS=1 DEFER LOSE_SLOT CRASH KILL FAULTS=2'],
];

const MUTANTS = [
  [
    'acknowledged before it is published',
    'MUTANT_ACK_FIRST MUTANT_NO_POSITION KILL',
  ],
  ['acknowledged by a timer', 'MUTANT_ACK_TIMER MUTANT_NO_POSITION KILL'],
  ['announced before it is visible', 'MUTANT_NO_GATE FAULTS=0'],
  ['a wait that ends for good', 'MUTANT_NO_REPETITION FAULTS=0'],
  ['a repetition kept in memory', 'MUTANT_REPEAT_IN_MEMORY KILL'],
  ['a repetition with the same id', 'MUTANT_EARLY_SAME_ID FAULTS=0'],
  ['a lost slot forgotten', 'MUTANT_FORGET_LOSS LOSE_SLOT'],
  ['widened before the slot exists', 'MUTANT_WIDEN_FIRST LOSE_SLOT'],
  ['widened before all is visible', 'MUTANT_WIDEN_AT_ONCE LOSE_SLOT'],
  [
    'a lost slot known in memory only',
    'MUTANT_DEBT_IN_MEMORY LOSE_SLOT KILL FAULTS=2',
  ],
  [
    'recorded before it is widened',
    'MUTANT_RECORD_FIRST_SLOT LOSE_SLOT KILL FAULTS=2',
  ],
  ['position of the slot not compared', 'MUTANT_NO_POSITION RECREATE'],
  ['compared before the slot is held', 'MUTANT_CHECK_BEFORE_HOLD RECREATE'],
  ['position of an old history kept', 'MUTANT_KEEP_POSITION FAILOVER'],
  ['ids made of the LSN only', 'MUTANT_ID_BY_LSN FAILOVER'],
  ['timeline not compared', 'MUTANT_SAME_SERVER FAILOVER'],
  ['start of the server not compared', 'MUTANT_SAME_SERVER ASYNC CRASH'],
  ['a debt dropped by the next record', 'MUTANT_DROP_DEBT DEFER FAULTS=0'],
  ['no ids', 'MUTANT_NO_IDS CRASH'],
  [
    'a lost call taken as done',
    'MUTANT_LOST_IS_DONE MUTANT_NO_HEARTBEAT LOST_CALL',
  ],
  ['record set before the message', 'MUTANT_RECORD_FIRST KILL'],
  ['record set by a second call', 'MUTANT_RECORD_APART REDIS_FAILOVER'],
  ['record set without compare', 'MUTANT_BLIND REDIS_FAILOVER'],
  ['record not read again', 'MUTANT_NO_HEARTBEAT REDIS_FAILOVER'],
  ['announced ahead of its turn', 'MUTANT_AHEAD REDIS_FAILOVER'],
  ['loads without a fence', 'MUTANT_NO_FENCE LOADS FAULTS=0'],
];

/**
 * From a commit in PostgreSQL to the copies of a reader.
 *
 * @type {SpecModel}
 */
export const POSTGRES = {
  file: 'postgres.pml',
  runs: [
    ...HOLDS.map((one) => run(one, 'holds')),
    ...HEALS.map((one) => heals(one, 'holds')),
    ...MUTANTS.map((one) => run(one, 'violated')),
  ],
};

function heals([name, defines], expected) {
  return run([name, `LTL ${defines}`], expected, 'heals');
}
