import type { Duration } from '../../common/index.js';
import { OptionRule } from '../../errors/index.js';
import { isCount, TIME_ADVICE } from '../shared/l2.options.js';

/** How a near cache calls its loaders. @publicApi */
export interface LoadOptions {
  /**
   * How many loads of this cache run at a time in this instance; `getMany()` counts
   * as one. Others wait, in the order in which they were asked for. Reads in an
   * `InvalidationScope` do not wait, nor do reads within a load.
   */
  readonly concurrency: number;
  /**
   * How long a load waits for its turn, in milliseconds or as a text; after that its
   * reads reject with a `CacheBusyError`.
   *
   * @default 10000
   */
  readonly maxWait?: Duration;
}

/** The option `load` with its defaults, times in milliseconds. @internal */
export class ResolvedLoadOptions {
  @OptionRule(isCount, 'Give a count above 0.')
  readonly concurrency: number = 0;

  @OptionRule(isCount, TIME_ADVICE)
  readonly maxWait: number = 10_000;
}
