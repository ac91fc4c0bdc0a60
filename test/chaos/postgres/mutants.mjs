/**
 * Faults of the PostgreSQL source that look right: texts of its compiled files, and what
 * stands there instead. The scenarios are those that must find stale entries with it.
 */
export const MUTANTS = {
  /** Log that was received is acknowledged, and the slot's position is not compared. */
  'postgres-acknowledged-first': {
    scenario: 'postgres-holder-killed',
    edits: [
      {
        file: 'postgres/wal/holder-session.js',
        from: 'stream.acknowledge(handled, true);\n        void',
        to: 'stream.acknowledge(lsn, true);\n        void',
      },
      {
        file: 'postgres/wal/source-place.js',
        from: 'if (confirmed > recorded.lsn)',
        to: 'if (false)',
      },
    ],
  },
  /** The record moves to what was received, and not to what is published. */
  'postgres-recorded-first': {
    scenario: 'postgres-holder-killed',
    edits: [
      {
        file: 'postgres/wal/announcer-call.js',
        from: 'call.to = formatPlace(place);',
        to: 'call.to = formatPlace(queue.at(-1).announcement.place);',
      },
    ],
  },
  'postgres-loss-forgotten': {
    scenario: 'postgres-slot-dropped',
    edits: [
      {
        file: 'postgres/wal/source-place.js',
        from: 'if (confirmed > recorded.lsn)',
        to: 'if (false)',
      },
    ],
  },
  'postgres-restart-forgotten': {
    scenario: 'postgres-killed',
    edits: [
      {
        file: 'postgres/wal/source-place.js',
        from: 'if (recorded.identity.start !== identity.start)',
        to: 'if (false)',
      },
    ],
  },
  /** Commits are announced as soon as they are in the log. */
  'postgres-announced-early': {
    scenario: 'postgres-alone-update',
    edits: [
      {
        file: 'postgres/wal/snapshot.js',
        from: 'return isBefore && !this.inProgress.has(xid);',
        to: 'return true;',
      },
    ],
  },
  /** Every transaction below the end of the snapshot counts as visible. */
  'postgres-progress-forgotten': {
    scenario: 'postgres-alone-update',
    edits: [
      {
        file: 'postgres/wal/snapshot.js',
        from: 'return isBefore && !this.inProgress.has(xid);',
        to: 'return isBefore;',
      },
    ],
  },
  /** An early announcement is not repeated once its commit is visible. */
  'postgres-announced-once': {
    scenario: 'postgres-late-commits',
    edits: [
      {
        file: 'postgres/wal/announcer-call.js',
        from: 'const next = isVisible',
        to: "const next = stage === 'early' ? stage : isVisible",
      },
    ],
  },
  'postgres-old-key-ignored': {
    scenario: 'postgres-alone-move',
    edits: [
      {
        file: 'postgres/wal/transaction-reader.js',
        from: 'imageOf(relation, old.tuple, !isWhole(relation, old)),\n',
        to: '\n',
      },
    ],
  },
  'postgres-deletes-dropped': {
    scenario: 'postgres-alone-delete',
    edits: [
      {
        file: 'postgres/wal/transaction-reader.js',
        from: 'images: [imageOf(relation, old.tuple, !isWhole(relation, old))],',
        to: 'images: [],',
      },
    ],
  },
  /** Keys beyond the bound are left out. */
  'postgres-large-cut': {
    scenario: 'postgres-hundred-thousand',
    edits: [
      {
        file: 'postgres/mapping/change-set.js',
        from: 'this.onBulk();\n            this.#widenFamily(family);',
        to: 'this.onBulk();\n            keys.delete(key);',
      },
    ],
  },
  'postgres-truncate-ignored': {
    scenario: 'postgres-truncate',
    edits: [
      {
        file: 'postgres/wal/transaction-reader.js',
        from: "?.widen('truncate', this.#transaction().changes)",
        to: '',
      },
    ],
  },
  /** A batch leaves the outbox before Redis has it. */
  'postgres-outbox-emptied-first': {
    scenario: 'postgres-triggers-redis-away',
    edits: [
      {
        file: 'postgres/triggers/trigger-drain.js',
        from: 'await published(this.options.timeout, this.#publish(',
        to: 'void Promise.resolve(this.#publish(',
      },
      {
        file: 'postgres/triggers/trigger-drain.js',
        from: 'rows, startedAt));',
        to: 'rows, startedAt)).catch(() => {});',
      },
    ],
  },
  /** Another server may lack what the outbox of the first one had. */
  'postgres-server-not-compared': {
    scenario: 'postgres-triggers-promoted',
    edits: [
      {
        file: 'postgres/triggers/trigger-watch.js',
        from: '`${digest}.${this.backlog.start}`',
        to: '`${digest}.`',
      },
    ],
  },
  /** Nothing makes up for what a disabled trigger has missed. */
  'postgres-gap-forgotten': {
    scenario: 'postgres-triggers-disabled',
    edits: [
      {
        file: 'postgres/triggers/trigger-record.js',
        from: 'this.record.forward(place, now, messages)',
        to: 'this.record.forward(place, now, place.offset === UNSEEN ? [] : messages)',
      },
    ],
  },
};
