import { Demo } from './demo.js';
import { parseOptions, USAGE, type DemoOptions } from './demo.options.js';
import { Printer } from './printer.js';
import { RegionsDemo } from './regions/regions.demo.js';

const WRONG_ARGUMENTS = 2;

/** Exit codes that shells expect of a program that a signal has ended. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

const stop = new AbortController();
let stoppedBy: number | null = null;

// Each signal may arrive twice: the terminal sends it, and npm passes it on.
for (const [signal, code] of Object.entries(EXIT_CODES)) {
  process.on(signal, () => {
    stoppedBy ??= code;
    stop.abort();
  });
}
// The reader of the output is gone (`| head`).
process.stdout.on('error', () => stop.abort());

process.exit(await main(process.argv.slice(2)));

async function main(args: string[]): Promise<number> {
  let options: DemoOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return WRONG_ARGUMENTS;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  return run(options);
}

async function run(options: DemoOptions): Promise<number> {
  try {
    const print = new Printer(process.stdout);
    const demo = options.regions
      ? new RegionsDemo(options, print)
      : new Demo(options, print);
    const right = await demo.run(stop.signal);
    if (right) return 0;
    return stoppedBy ?? 1;
  } catch (error) {
    console.error(`\n${String(error)}`);
    return 1;
  }
}
