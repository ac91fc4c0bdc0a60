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
      'lost or cut, replayed exactly',
      'CUT LOSE BEATS_ALWAYS EXACT FAULTS=1',
    ),
    run('lost, repeated, cut', 'CUT LOSE REPEAT FAULTS=2 MESSAGES=1 SLOTS=2'),
    run('two publishers cut off', 'CUT_COMMANDS CUT PUBLISHERS=2 FAULTS=1'),
    run('journal trimmed', 'CUT TRIM FAULTS=2 SLOTS=3'),
    run(
      'journal deleted',
      'CUT LOSE REMOVE FAULTS=2 MESSAGES=1 SLOTS=3 COARSE',
    ),
    run('one failover', 'FAILOVER FAULTS=1 MESSAGES=1 SLOTS=2'),
    run('Redis hangs', 'HANG LOSE CUT FAULTS=2 MESSAGES=1 SLOTS=2'),
    run(
      'a publisher without a journal',
      'FOREIGN CUT FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
    run('an instance that starts', 'BOOT CUT FAULTS=1'),
    run(
      'small pages, one held message',
      'PAGE=2 HELD_LIMIT=1 CUT LOSE FAULTS=1',
    ),
    run('P forges', 'FORGE CUT COARSE FAULTS=2 MESSAGES=1 SLOTS=2'),
    run(
      'P forges, one lost',
      'FORGE LOSE COARSE FAULTS=2 MESSAGES=1 SLOTS=2',
      'violated',
    ),
    run(
      'P forges, one lost, signed',
      'FORGE LOSE SIGNED FAULTS=2 MESSAGES=1 SLOTS=2',
    ),
    run('J adds an entry', 'PLANT TRIM LOSE ENDED COARSE FAULTS=2 MESSAGES=1'),
    run('J deletes an entry', 'DELETE LOSE ENDED COARSE FAULTS=2'),
    run(
      'J replaces',
      'REPLACE CUT ENDED COARSE FAULTS=2 MESSAGES=1 SLOTS=2',
      'violated',
    ),
    run(
      'J replaces, signed',
      'REPLACE CUT ENDED SIGNED COARSE FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
    heals('heals: lost or cut', 'CUT LOSE FAULTS=1 MESSAGES=1 COARSE'),
    heals('heals: one failover', 'FAILOVER FAULTS=1 MESSAGES=1 SLOTS=2 COARSE'),
    run(
      'heals: missing messages ignored',
      'LTL MUTANT_MISSING_IGNORED LOSE FAULTS=1 MESSAGES=1 COARSE',
      'violated',
      'heals',
    ),
    mutant(
      'no widening on a broken chain',
      'MUTANT_NO_WIDENING CUT TRIM FAULTS=2 SLOTS=3',
    ),
    mutant(
      '>= for > between offsets',
      'MUTANT_NOT_LATER FORGE FAULTS=1 MESSAGES=1',
    ),
    mutant(
      'first replayed entry unchecked',
      'MUTANT_FIRST_UNCHECKED PLANT TRIM LOSE ENDED COARSE FAULTS=3 MESSAGES=1',
    ),
    mutant(
      'chain unchecked',
      'MUTANT_CHAIN_UNCHECKED DELETE LOSE ENDED COARSE FAULTS=2',
    ),
    mutant('gap ignored', 'MUTANT_GAP_IGNORED LOSE FAULTS=1'),
    mutant(
      'acknowledged before published',
      'MUTANT_ACKNOWLEDGED_EARLY CUT_COMMANDS FAULTS=1 MESSAGES=1',
    ),
    mutant(
      'own messages unconfirmed',
      'MUTANT_NO_CONFIRM FAILOVER FAULTS=1 MESSAGES=1',
    ),
    mutant(
      'a retry does not search',
      'MUTANT_NO_SEARCH CUT_COMMANDS FAULTS=1 MESSAGES=1',
    ),
    mutant(
      'heartbeats do not compare',
      'MUTANT_DEAF_HEARTBEAT LOSE FAULTS=1 MESSAGES=1',
    ),
    mutant(
      'replayed messages forgotten',
      'MUTANT_REPLAYED_FORGOTTEN EXACT CUT LOSE FAULTS=1',
    ),
    mutant(
      'foreign messages forgotten',
      'MUTANT_FOREIGN_FORGOTTEN FOREIGN CUT FAULTS=2 MESSAGES=1 SLOTS=3',
    ),
  ],
};
