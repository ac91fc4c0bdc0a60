import type { WidenedCause } from '../message/index.js';
import type { ErrorReporter } from './error-reporter.js';
import type { InvalidationMeter } from './invalidation-meter.js';

/** Reasons for the log; `null` for causes that are logged elsewhere in more detail. */
const REASONS: Record<WidenedCause, string | null> = {
  'not-understood': 'a message was not understood, or too large to be read',
  reconnected:
    'the subscription was lost, and another service publishes without a journal',
  missed: 'messages were missed, and the journal does not hold them',
  'started-late':
    'the application served requests before it was connected, and the journal does not reach back that far',
  stale: null,
  'new-connection': null,
  'handler-overflow': null,
  unverified: null,
};

/** Counts and logs that a widened message is delivered. @internal */
export function reportWidening(
  cause: WidenedCause,
  meter: InvalidationMeter,
  errors: ErrorReporter,
): void {
  meter.widened(cause);
  const reason = REASONS[cause];
  if (reason === null) return;
  errors.log('warn', `More was evicted than had changed: ${reason}.`, cause);
}
