import { hasFailed } from './run.mjs';

const SHOWN = 10;

/** One line for a run that went well; all that is known of one that did not. */
export function explain(result) {
  if (!hasFailed(result)) return `ok: ${summary(result)}`;
  return [
    'FAILED',
    ...(result.stale === undefined ? [] : [summary(result)]),
    `again: --only ${result.name} --seed ${result.seed}`,
    ...result.problems,
    ...(result.stale ?? [])
      .slice(0, SHOWN)
      .map((entry) => staleness(entry, result)),
    ...(result.conditions ?? []).map(condition),
  ].join('\n  ');
}

function summary({
  sent,
  delivered,
  replayed,
  widened,
  peak,
  stale,
  notPromised,
  failedCalls,
  coherentAfter,
  quiet,
}) {
  const slowest = Math.round(Math.max(...coherentAfter));
  return (
    `${sent} sent, ${delivered} delivered, ${replayed} replayed, ${widened} widened; ` +
    `stale at worst ${peak}, now ${stale.length}` +
    (notPromised > 0 ? ` and ${notPromised} not promised` : '') +
    `; ${failedCalls} failed calls; coherent after ${slowest} ms` +
    (quiet ? '; nothing written while it healed' : '')
  );
}

function staleness({ instance, key, cached, version, by, at }, { healedAt }) {
  const before = Math.round(healedAt - at);
  const when = before >= 0 ? `${before} ms before` : `${-before} ms after`;
  return `${instance} caches ${key} at version ${cached} of ${version}; ${by} wrote the next one ${when} healing`;
}

function condition({ name, report }) {
  if (report === null) return `${name}: killed before it said anything`;
  const { status, pending, widenedBy, errors, lastError } = report;
  const { calls, longestStall } = report;
  return `${name}: ${status.state}, ${pending} pending, slowest call ${Math.round(calls.slowest)} ms, longest stall of the process ${Math.round(longestStall)} ms, widened by ${JSON.stringify(widenedBy)}, errors ${JSON.stringify(errors)}, the last: ${lastError}`;
}
