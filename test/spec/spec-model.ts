/** One search of a model. */
export interface SpecRun {
  /** A short title, for example "two publishers, one failover". */
  readonly name: string;
  /** -D flags: sizes, features, or one MUTANT_…. */
  readonly defines: readonly string[];
  /** 'safety', or the name of an ltl claim, which is checked with weak fairness. */
  readonly property: 'safety' | (string & {});
  readonly expected: 'holds' | 'violated';
}

/** A Promela file beside its model file, and its searches. */
export interface SpecModel {
  readonly file: string;
  readonly runs: readonly SpecRun[];
}
