import { parseArgs } from 'node:util';

export const USAGE = `A social network in five services whose caches stay fresh.

  npm run demo                 runs the story, then stays up, with a live page
  npm run demo -- --once       runs the story and ends
  npm run demo -- --regions    runs another story, of two regions whose link is cut, and ends
  npm run demo -- --verbose    shows what the services log
  npm run demo -- --help

The demo needs nothing but Node. If REDIS_URL or DATABASE_URL is set, it uses that
server instead of an embedded Valkey or an embedded PostgreSQL, but not with --regions.
Plain SQL is heard by logical replication, if that server allows it, else by triggers.
Behind a proxy, SAMPLE_APP_HOSTS=demo.example names the host of the live page.

Exit code: 0 if every last read was fresh and every claim held; 1 if not, or if a
service failed; 2 for wrong arguments.
`;

export interface DemoOptions {
  readonly once: boolean;
  readonly regions: boolean;
  readonly verbose: boolean;
  readonly help: boolean;
}

/** @throws TypeError that names an unknown argument */
export function parseOptions(args: string[]): DemoOptions {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: 'boolean', default: false },
      regions: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return values;
}
