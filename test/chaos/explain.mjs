import { hasFailed } from './run.mjs';

const SHOWN = 10;

/** One line for a successful run; all details of a failed one. */
export function explain(result) {
  if (!hasFailed(result)) return `ok: ${summary(result)}`;
  return [
    'FAILED',
    ...(result.stale === undefined ? [] : [summary(result)]),
    `to repeat: --only ${result.name} --seed ${result.seed}`,
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
  slowestRead,
  overtaken,
  checked,
  checkedInRedis,
  l2Hits,
  l2Refused,
  rightsRead,
  quiet,
}) {
  const slowest = Math.round(Math.max(...coherentAfter));
  return (
    `${sent} sent, ${delivered} delivered, ${replayed} replayed, ${widened} widened; ` +
    `stale at worst ${peak}, now ${stale.length}` +
    (notPromised > 0 ? ` and ${notPromised} not promised` : '') +
    ` of ${checked}, ${checkedInRedis} of them in Redis` +
    `; ${overtaken} loads overtaken; ${l2Hits} hits in Redis, ${l2Refused} refused` +
    `; ${failedCalls} failed calls; slowest read ${Math.round(slowestRead)} ms; coherent after ${slowest} ms` +
    (rightsRead > 0 ? `; ${rightsRead} reads of revoked rights` : '') +
    (quiet ? '; no writes during healing' : '')
  );
}

function staleness(
  { instance, tier, key, cached, version, by, at },
  { healedAt },
) {
  const before = Math.round(healedAt - at);
  const when = before >= 0 ? `${before} ms before` : `${-before} ms after`;
  const verb = tier === 'Redis' ? 'is served from Redis' : 'has in memory';
  return `${instance} ${verb} ${key} at version ${cached} of ${version}; ${by} wrote the next version ${when} healing`;
}

function condition({ name, report }) {
  if (report === null) return `${name}: killed before its first report`;
  const { status, pending, widenedBy, errors, lastError } = report;
  const { calls, reads, caches, longestStall } = report;
  return `${name}: ${status.state}, ${pending} pending, slowest call ${Math.round(calls.slowest)} ms, slowest read ${Math.round(reads.slowest)} ms, ${reads.underWay} pages under way, caches ${JSON.stringify(caches)}, longest stall of the process ${Math.round(longestStall)} ms, widened by ${JSON.stringify(widenedBy)}, errors ${JSON.stringify(errors)}, the last: ${lastError}`;
}
