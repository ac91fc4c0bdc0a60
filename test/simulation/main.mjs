// npm run simulate -- --help
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `Runs the delivery of messages under random schedules of faults, on virtual time,
and checks that no cache keeps a stale entry.

  npm run simulate -- [options]

  --schedules <n>   number of schedules (default 1000)
  --seed <n>        seed of the first schedule; the next ones count up from it
                    (default random)
  --jobs <n>        number of processes (default ${availableParallelism()}, one for each processor)
  --trace           print every event; for a single schedule
  --sabotage <how>  make a deliberate mistake that the checker must find:
                    "deaf" caches ignore widened messages, and "heartless"
                    instances have no heartbeat
  --no-journal      run without a journal
  --regions         two or three regions, each with a Redis of its own, relays between
                    them, and faults of their links as well; --sabotage is then
                    "skipping" relays lose each tenth message, "heedless" ones move
                    their record wherever it is, or "separate" records survive a
                    failover that loses the journal's end
  --help            print this text

The report counts distinct states: for each instance its status, its position from
the journal's end, whether it catches up and can publish, and what waits; for Redis
whether it runs and the length of its journal.

A failure prints its seed; --seed <seed> --schedules 1 --trace repeats it.`;

const SABOTAGE = {
  region: ['deaf', 'heartless'],
  regions: ['skipping', 'heedless', 'separate'],
};
const CHUNK = 25;
const SHOWN = 5;

if (process.send === undefined) await command();
else work();

async function command() {
  const options = readOptions();
  if (options === null) return;
  const results = await playAll(options);
  report(options, results);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        schedules: { type: 'string', default: '1000' },
        seed: { type: 'string' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        trace: { type: 'boolean', default: false },
        sabotage: { type: 'string' },
        'no-journal': { type: 'boolean', default: false },
        regions: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return null;
    }
    const mistakes = SABOTAGE[values.regions ? 'regions' : 'region'];
    if (![undefined, ...mistakes].includes(values.sabotage)) {
      throw new Error(`--sabotage must be one of ${mistakes.join(', ')}.`);
    }
    if (values.regions && values['no-journal']) {
      throw new Error('--regions needs the journal.');
    }
    return {
      schedules: whole('schedules', values.schedules, 1),
      seed:
        values.seed === undefined
          ? Math.floor(Math.random() * 2 ** 31)
          : whole('seed', values.seed, 0),
      jobs: whole('jobs', values.jobs, 1),
      trace: values.trace,
      how: {
        sabotage: values.sabotage ?? null,
        journaled: !values['no-journal'],
        regions: values.regions,
      },
    };
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    process.exitCode = 2;
    return null;
  }
}

function whole(name, text, least) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Error(`--${name} must be a whole number of at least ${least}.`);
  }
  return value;
}

/** Distributes the seeds to the workers, and collects the outcomes. */
function playAll({ schedules, seed, jobs, trace, how }) {
  const started = performance.now();
  const total = {
    played: 0,
    failed: 0,
    failures: [],
    invalidations: 0,
    delivered: 0,
    replayed: 0,
    widened: 0,
    healing: [],
    states: new Set(),
    virtual: 0,
    slowest: 0,
    interrupted: false,
    seconds: 0,
  };
  const workers = [];
  let handed = 0;
  return new Promise((resolve) => {
    const progress = setInterval(
      () => {
        const rate = total.played / ((performance.now() - started) / 1_000);
        process.stderr.write(
          `${process.stderr.isTTY ? '\r' : ''}${total.played} of ${schedules}, ${rate.toFixed(0)} per second, ${total.failed} failed${process.stderr.isTTY ? ' ' : '\n'}`,
        );
      },
      process.stderr.isTTY ? 500 : 10_000,
    );
    const finish = () => {
      clearInterval(progress);
      process.off('SIGINT', interrupt);
      if (process.stderr.isTTY) process.stderr.write('\n');
      for (const worker of workers) worker.disconnect();
      total.seconds = (performance.now() - started) / 1_000;
      resolve(total);
    };
    const interrupt = () => {
      total.interrupted = true;
      finish();
    };
    process.once('SIGINT', interrupt);
    const next = (worker) => {
      const count = Math.min(CHUNK, schedules - handed);
      if (count === 0) return;
      worker.send({ seed: seed + handed, count, trace, how });
      handed += count;
    };
    const take = (outcomes) => {
      for (const outcome of outcomes) {
        total.played++;
        total.invalidations += outcome.invalidations;
        total.delivered += outcome.delivered;
        total.replayed += outcome.replayed;
        total.widened += outcome.widened;
        total.slowest = Math.max(total.slowest, outcome.slowestPublish);
        total.virtual += outcome.lasted;
        for (const state of outcome.states) total.states.add(state);
        if (outcome.healing !== null) total.healing.push(outcome.healing);
        if (outcome.problems.length === 0) continue;
        total.failed++;
        if (total.failures.length < SHOWN) total.failures.push(outcome);
      }
    };
    for (let n = 0; n < Math.min(jobs, Math.ceil(schedules / CHUNK)); n++) {
      const worker = fork(fileURLToPath(import.meta.url));
      workers.push(worker);
      worker.on('message', (outcomes) => {
        take(outcomes);
        if (total.interrupted) return;
        if (total.played === schedules) finish();
        else next(worker);
      });
      worker.on('exit', (code) => {
        if (code === 0 || total.interrupted) return;
        console.error(`A worker ended with exit code ${code}.`);
        process.exit(1);
      });
      next(worker);
    }
  });
}

function report(options, total) {
  for (const { seed, problems, schedule } of total.failures) {
    console.log(`\nThe schedule of seed ${seed} failed:\n${schedule}`);
    for (const problem of problems) console.log(`  - ${problem}`);
    console.log(
      `To repeat it: npm run simulate -- ${options.how.regions ? '--regions ' : ''}--seed ${seed} --schedules 1 --trace`,
    );
  }
  if (total.failed > total.failures.length) {
    console.log(
      `\n… and ${total.failed - total.failures.length} more failures`,
    );
  }
  const healing = total.healing.toSorted((a, b) => a - b);
  const at = (share) => healing[Math.floor(share * (healing.length - 1))] ?? 0;
  console.log(
    `\n${total.played} schedules from seed ${options.seed}, ${total.failed} failed${total.interrupted ? ' (interrupted)' : ''}, in ${total.seconds.toFixed(1)} s
${total.invalidations} invalidations; ${total.delivered} messages delivered, ${total.replayed} of them replayed, ${total.widened} widened
${total.states.size.toLocaleString('en')} distinct states, ${(total.virtual / 3_600_000).toFixed(1)} virtual hours
coherent after healing: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; slowest publish ${total.slowest.toFixed(0)} ms`,
  );
  if (total.failed > 0) process.exitCode = 1;
  if (total.interrupted) process.exitCode = 130;
}

/** Code of a worker process, which runs the sources through Vite. */
function work() {
  // The parent ends the worker, also at Ctrl-C.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(0));
  const loaded = load();
  process.on('message', (chunk) => void loaded.then((sim) => play(sim, chunk)));
}

async function play(
  { simulate, simulateRegions },
  { seed, count, trace, how },
) {
  const options = { ...how, trace: trace ? console.log : null };
  const outcomes = [];
  for (let n = 0; n < count; n++) {
    const played = how.regions ? simulateRegions : simulate;
    outcomes.push(await played(seed + n, options));
  }
  process.send(outcomes);
}

async function load() {
  const { createViteServer } = await import('vitest/node');
  const server = await createViteServer({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  const { simulate } = await server.ssrLoadModule(
    '/test/simulation/simulate.ts',
  );
  const { simulateRegions } = await server.ssrLoadModule(
    '/test/simulation/regions.simulate.ts',
  );
  return { simulate, simulateRegions };
}
