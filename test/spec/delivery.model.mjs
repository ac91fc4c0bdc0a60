/** Features and sizes in one line, as -D flags. */
const flags = (text) => text.split(' ');

const run = (name, defines, expected = 'holds', property = 'safety') => ({
  name,
  defines: flags(defines),
  property,
  expected,
});
const heals = (name, defines) => run(name, `LTL ${defines}`, 'holds', 'heals');
const mutant = (name, defines) => run(name, defines, 'violated');

/**
 * Delivery, from the publisher to the caches of two instances.
 *
 * @type {import('./spec-model.js').SpecModel}
 */
export const DELIVERY = {
  file: 'delivery.pml',
  runs: [
    run(
      'a message lost or a connection cut, exact',
      'CUT LOSE BEATS_ALWAYS EXACT FAULTS=1 MESSAGES=2',
    ),
    run('lost, repeated, cut', 'CUT LOSE REPEAT FAULTS=2 MESSAGES=2'),
    run(
      'two publishers cut off',
      'CUT_COMMANDS CUT FAULTS=2 MESSAGES=2 PUBLISHERS=2 SLOTS=2',
    ),
    run('journal trimmed', 'CUT TRIM FAULTS=2 MESSAGES=2 SLOTS=3'),
    run('journal deleted', 'CUT LOSE REMOVE FAULTS=2 MESSAGES=1 SLOTS=3'),
    run('one failover', 'FAILOVER FAULTS=1 MESSAGES=2 SLOTS=3'),
    run(
      'two publishers, one failover',
      'FAILOVER FAULTS=1 MESSAGES=2 PUBLISHERS=2 SLOTS=4',
    ),
    run('Redis hangs', 'HANG LOSE CUT FAULTS=2 MESSAGES=1 SLOTS=2'),
    run(
      'a publisher without a journal',
      'FOREIGN CUT FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
    run('an instance that starts', 'BOOT LOSE CUT FAULTS=1 MESSAGES=2'),
    run(
      'small pages, few held messages',
      'PAGE=2 HELD_LIMIT=1 CUT LOSE FAULTS=2 MESSAGES=2',
    ),
    run('P forges', 'FORGE CUT FAULTS=2 MESSAGES=1 SLOTS=2'),
    run(
      'P forges, a message is lost',
      'FORGE LOSE FAULTS=2 MESSAGES=1 SLOTS=2',
      'violated',
    ),
    run(
      'P forges, a message is lost, signed',
      'FORGE LOSE SIGNED FAULTS=2 MESSAGES=1 SLOTS=2',
    ),
    run(
      'J adds and deletes entries',
      'PLANT TRIM CUT FAULTS=2 MESSAGES=1 SLOTS=2',
    ),
    run(
      'J replaces an entry',
      'REPLACE CUT FAULTS=2 MESSAGES=1 SLOTS=2',
      'violated',
    ),
    run(
      'J replaces an entry, signed',
      'REPLACE CUT SIGNED FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
    heals('lost and cut', 'CUT LOSE FAULTS=1 MESSAGES=1 SLOTS=2'),
    mutant(
      'no widening on a broken chain',
      'MUTANT_NO_WIDENING CUT TRIM FAULTS=2 MESSAGES=2 SLOTS=3',
    ),
    mutant(
      '>= for > between offsets',
      'MUTANT_NOT_LATER FORGE FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'first replayed entry unchecked',
      'MUTANT_FIRST_UNCHECKED PLANT TRIM CUT FAULTS=3 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'chain unchecked',
      'MUTANT_CHAIN_UNCHECKED PLANT CUT FAULTS=2 MESSAGES=2 SLOTS=3',
    ),
    mutant('gap ignored', 'MUTANT_GAP_IGNORED LOSE FAULTS=1 MESSAGES=2'),
    mutant(
      'acknowledged before it is published',
      'MUTANT_ACKNOWLEDGED_EARLY CUT_COMMANDS FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'own messages unconfirmed',
      'MUTANT_NO_CONFIRM FAILOVER FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'earlier acknowledged ones not doubted',
      'MUTANT_NO_DOUBT FAILOVER FAULTS=1 MESSAGES=2 SLOTS=3',
    ),
    mutant(
      'lost offsets given again',
      'MUTANT_OFFSETS_AGAIN FAILOVER FAULTS=1 MESSAGES=2 PUBLISHERS=2 SLOTS=4',
    ),
    mutant(
      'a retry does not search',
      'MUTANT_NO_SEARCH CUT_COMMANDS FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'heartbeats do not compare',
      'MUTANT_DEAF_HEARTBEAT LOSE FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'replayed messages forgotten',
      'MUTANT_REPLAYED_FORGOTTEN EXACT CUT LOSE FAULTS=1 MESSAGES=2',
    ),
    mutant(
      'older means duplicate',
      'MUTANT_OLDER_IS_DUPLICATE FAILOVER FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'held messages dropped',
      'MUTANT_HELD_DROPPED FAILOVER FAULTS=1 MESSAGES=1 SLOTS=2',
    ),
    mutant(
      'foreign messages forgotten',
      'MUTANT_FOREIGN_FORGOTTEN FOREIGN CUT FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
  ],
};
