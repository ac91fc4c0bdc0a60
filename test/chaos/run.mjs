import { setTimeout as sleep } from 'node:timers/promises';
import { Stage } from './stage.mjs';
import { until, within } from './wait.mjs';

/** Changes before the fault, and after it has healed. */
const BEFORE = 500;
const AFTER = 800;
/** What a run may take; then something hangs. */
const SHORT_MS = 90_000;
const LONG_MS = 300_000;
/** For the caches to become coherent once nothing is written any more. */
const SETTLED_MS = 15_000;
const SETTLED_LONG_MS = 60_000;
/** Where it never will be. */
const SETTLED_BROKEN_MS = 2_000;
/** For timers that fire late. */
const MARGIN_MS = 200;

/** Stale entries, failed calls, and whatever else may not happen. */
export function hasFailed({ stale, failedCalls, problems }) {
  return problems.length > 0 || stale.length > 0 || failedCalls > 0;
}

/**
 * One run of one scenario: instances with full caches, a fault while rows change,
 * healing, and the comparison of every cached entry with the database.
 *
 * @param how `{ seed, long, broken }`
 */
export async function run(scenario, how) {
  const stage = new Stage({ ...how, options: scenario.options });
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
  // Whether rows go on changing while it heals: then the next message betrays
  // that one is missing. If not, only a heartbeat can find the last one.
  const quiet = (scenario.mayBeQuiet ?? true) && stage.random() < 0.5;
  await stage.open(scenario);
  await stage.warm();
  await stage.startWriting();
  await stage.writes(BEFORE);
  stage.checker.peak = 0;

  await scenario.fault(stage);
  if (quiet) await stage.stopWriting();
  await scenario.heal?.(stage);
  const healedAt = performance.now();

  if (!quiet && stage.writers.length > 0) await stage.writes(AFTER);
  await stage.stopWriting();
  return conclude(scenario, stage, { quiet, healedAt });
}

async function conclude(scenario, stage, { quiet, healedAt }) {
  await settled(stage, scenario);
  const coherentAfter = stage.running.map((application) =>
    stage.checker.coherentAfter(application, healedAt),
  );
  const checks = await checkAll(stage);
  const { applications, database, checker } = stage;
  const conditions = await reportAll(applications);
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
    peak: checker.peak,
    stale: stale.filter((entry) => isPromised(entry, stage)),
    notPromised: stale.filter((entry) => !isPromised(entry, stage)).length,
    coherentAfter,
    healedAt,
    calls: total(({ calls }) => calls.total),
    failedCalls: total(({ calls }) => calls.failed),
    slowestCall: Math.max(0, ...reports.map((r) => r?.calls.slowest ?? 0)),
    problems: [
      ...applications
        .filter(({ complaint }) => complaint !== null)
        .map(({ name, complaint }) => `${name}: ${complaint}`),
      ...reports
        .filter((report) => report?.calls.failure)
        .map(({ calls }) => calls.failure),
      ...((await scenario.verify?.(stage)) ?? []),
    ],
    /** Before they were closed. */
    conditions: applications.map(({ name }, index) => ({
      name,
      report: conditions[index],
    })),
  };
}

/**
 * The wait for coherence only saves time; what counts is the comparison after it,
 * one heartbeat later, with nothing under way.
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
  const { heartbeatInterval, heartbeatTimeout } = stage.options;
  await sleep(heartbeatInterval + heartbeatTimeout + MARGIN_MS);
  await stage.warm();
}

function reportAll(applications) {
  return Promise.all(applications.map((application) => application.report()));
}

function checkAll(stage) {
  return Promise.all(
    stage.running.map((application) => stage.checker.check(application)),
  );
}
