import { setTimeout as sleep } from 'node:timers/promises';
import { Stage } from './stage.mjs';
import { until, within } from './wait.mjs';

/** Limit of a run; a longer one hangs. */
const SHORT_MS = 90_000;
const LONG_MS = 300_000;
/** Time for the caches to become coherent after the last write. */
const SETTLED_MS = 15_000;
const SETTLED_LONG_MS = 60_000;
/** Time for a broken library, whose caches never become coherent. */
const SETTLED_BROKEN_MS = 2_000;
/** Margin for timers that fire late. */
const MARGIN_MS = 200;
/** Instances that start at the end of the run, and can only read from Redis. */
const LATE = [{ name: 'late' }];

/** Whether a run had stale entries, failed calls or any other problem. */
export function hasFailed({ stale, failedCalls, problems }) {
  return problems.length > 0 || stale.length > 0 || failedCalls > 0;
}

/**
 * One run of one scenario: instances with full caches, a fault while rows change,
 * healing, and the comparison of every cached entry with the database.
 *
 * @param how `{ seed, long, broken }`, see `Stage`
 */
export async function run(scenario, how) {
  const { stage: Kind = Stage, options } = scenario;
  const stage = new Kind({ ...how, options });
  try {
    const limit = how.long ? LONG_MS : SHORT_MS;
    return await within(limit, 'the run to end', play(scenario, stage));
  } catch (error) {
    const { name } = scenario;
    return { name, seed: how.seed, problems: [error.stack] };
  } finally {
    await stage.close();
  }
}

async function play(scenario, stage) {
  // Whether writes stop during healing. Without writes only a heartbeat can
  // find the last message; otherwise the next message shows that one is
  // missing.
  const quiet = (scenario.mayBeQuiet ?? true) && stage.random() < 0.5;
  await stage.open(scenario);
  await stage.warm();
  await stage.startWriting();
  await stage.writes(stage.writesBefore);
  stage.checker.peak = 0;

  await scenario.fault(stage);
  if (quiet) await stage.stopWriting();
  await scenario.heal?.(stage);
  const healedAt = performance.now();

  if (!quiet && stage.writers.length > 0) await stage.writes(stage.writesAfter);
  await stage.stopWriting();
  return conclude(scenario, stage, { quiet, healedAt });
}

async function conclude(scenario, stage, { quiet, healedAt }) {
  await stage.hasRested();
  const failures = await settled(stage, scenario);
  const unsettled = (await scenario.settled?.(stage)) ?? [];
  // Measured before the late instance starts, which was never incoherent.
  const coherentAfter = stage.running.map((application) =>
    stage.checker.coherentAfter(application, healedAt),
  );
  const shares = stage.shared && (scenario.shares ?? true);
  const shared = shares ? await checkAllShared(stage, failures) : [];
  const checks = [...(await checkAll(stage)), ...shared];
  await stage.rights?.checkAll();
  const { applications, database, checker, rights } = stage;
  const conditions = await reportAll(applications);
  const unsent = (scenario.drains ?? true) && !stage.broken ? conditions : [];
  const stillRuns = new Set(stage.running);
  await Promise.all(stage.running.map((application) => application.close()));
  const reports = await reportAll(applications);
  const stale = checks.flatMap((check) => check.stale);
  const isPromised = scenario.isPromised ?? (() => true);
  const total = (of) =>
    reports.reduce((sum, report) => sum + ((report && of(report)) ?? 0), 0);
  return {
    name: scenario.name,
    seed: stage.seed,
    quiet,
    sent: database.writes,
    delivered: total(({ delivered }) => delivered),
    replayed: total(({ replayed }) => replayed),
    widened: total(({ widened }) => widened),
    checked: checks.reduce((sum, { cached }) => sum + cached, 0),
    checkedInRedis: shared.reduce((sum, { cached }) => sum + cached, 0),
    peak: checker.peak,
    rightsRead: rights?.reads ?? 0,
    stale: stale.filter((entry) => isPromised(entry, stage)),
    notPromised: stale.filter((entry) => !isPromised(entry, stage)).length,
    coherentAfter,
    healedAt,
    calls: total(({ calls }) => calls.total),
    failedCalls: total(({ calls }) => calls.failed),
    slowestCall: Math.max(0, ...reports.map((r) => r?.calls.slowest ?? 0)),
    slowestRead: Math.max(0, ...reports.map((r) => r?.reads.slowest ?? 0)),
    overtaken: total(({ caches }) => caches.overtaken),
    l2Hits: total(({ caches }) => caches.l2Hits),
    l2Refused: total(({ caches }) => caches.l2Refused),
    problems: [
      ...(rights?.problems ?? []),
      ...shared
        .filter(({ answered }) => !answered)
        .map(({ name }) => `${name}: its second tier does not answer`),
      ...applications
        .filter(({ complaint }) => complaint !== null)
        .map(({ name, complaint }) => `${name}: ${complaint}`),
      ...reports
        .filter((report) => report?.calls.failure)
        .map(({ calls }) => calls.failure),
      ...reports
        .filter((report) => report?.reads.failure)
        .map(({ reads }) => `${reads.failed} reads failed: ${reads.failure}`),
      ...hanging(applications, reports),
      ...applications
        .filter((application, index) => {
          return stillRuns.has(application) && unsent[index]?.pending > 0;
        })
        .map(({ name }) => `${name}: its outbox was never sent`),
      ...unsettled,
      ...((await scenario.verify?.(stage)) ?? []),
    ],
    /** Reports from before the instances were closed. */
    conditions: applications.map(({ name }, index) => ({
      name,
      report: conditions[index],
    })),
  };
}

/**
 * Waits until the caches are coherent, which only saves time: the result is the
 * comparison afterwards, one heartbeat later, with nothing under way.
 *
 * @returns application -> how often its shared tier has failed up to a while ago
 */
async function settled(stage, { drains = true, isPromised = () => true }) {
  const patience = stage.long ? SETTLED_LONG_MS : SETTLED_MS;
  const limit = stage.broken ? SETTLED_BROKEN_MS : patience;
  const isSettled = async () => {
    const checks = await checkAll(stage);
    const stale = checks.flatMap((check) => check.stale);
    if (stale.some((entry) => isPromised(entry, stage))) return false;
    if (!drains) return true;
    if (stage.database.outboxSize > 0) return false;
    const reports = await reportAll(stage.running);
    return reports.every(({ pending }) => pending === 0);
  };
  await until('', isSettled, limit).catch(() => {});
  const failures = new Map();
  for (const application of stage.running) {
    const { caches } = await application.report();
    failures.set(application, caches.l2Errors);
  }
  const { heartbeatInterval, heartbeatTimeout } = stage.options;
  await sleep(heartbeatInterval + heartbeatTimeout + MARGIN_MS);
  await stage.warm();
  return failures;
}

/**
 * Checks the entries that each instance would serve from Redis, and a new
 * instance, which reads in the journal the messages about them.
 *
 * @param failures application -> how often its shared tier has failed so far
 */
async function checkAllShared(stage, failures) {
  for (const late of stage.broker.late ?? LATE) await stage.launch(late);
  await stage.warm();
  return Promise.all(
    stage.running.map((application) =>
      stage.checker.checkShared(application, failures.get(application) ?? 0),
    ),
  );
}

/** Reads that never ended in closed instances, which wait for reads. */
function hanging(applications, reports) {
  return applications.flatMap(({ name }, index) => {
    const underWay =
      reports[index]?.leftBehind && reports[index].reads.underWay;
    return underWay > 0 ? [`${name}: ${underWay} reads never ended`] : [];
  });
}

function reportAll(applications) {
  return Promise.all(applications.map((application) => application.report()));
}

function checkAll(stage) {
  return Promise.all(
    stage.running.map((application) => stage.checker.check(application)),
  );
}
