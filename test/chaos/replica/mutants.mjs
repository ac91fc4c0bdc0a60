/** Faults of near caches whose loaders read a standby, see `mutants.mjs` one folder up. */
export const MUTANTS = {
  'replica-marks-forgotten': {
    scenario: 'replica-lag-500',
    edits: [
      {
        file: 'replica/replica-marks.js',
        from: 'if (names.length > 0)',
        to: 'if (false)',
      },
    ],
  },
  /** A standby that is at the beginning of a commit counts as one that has it. */
  'replica-reached-is-passed': {
    scenario: 'replica-rare-commits',
    problem: /kept too old/,
    edits: [
      {
        file: 'replica/position-order.js',
        from: 'this.isBeforeOr(false, position, told)',
        to: '!this.isBeforeOr(true, told, position)',
      },
    ],
  },
  /** Marks end when a standby has answered, however far it is. */
  'replica-marks-timed': {
    scenario: 'replica-lag-500',
    edits: [
      {
        file: 'replica/position-order.js',
        from: 'this.isBeforeOr(false, position, told)',
        to: 'true',
      },
    ],
  },
  'replica-start-unmarked': {
    scenario: 'replica-paused',
    edits: [
      {
        file: 'replica/replica-marks.js',
        from: "this.#mark([''], position);",
        to: '{}',
      },
    ],
  },
  /** Nobody notices that another server answers, which has replayed less. */
  'replica-server-unnoticed': {
    scenario: 'replica-replaced',
    problem: /kept too old/,
    edits: [
      {
        file: 'replica/replica-progress.js',
        from: 'this.#server++',
        to: '{}',
      },
    ],
  },
};
