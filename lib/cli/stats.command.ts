import { JournalPager } from '../transport/index.js';
import { ChannelWatcher } from './channel-watcher.js';
import type { CliCommand } from './command.js';
import { parseDuration } from './duration.js';
import { readMessage } from './received-message.js';
import type { Io } from './io.js';
import { millisecondsOf, offsetAt, serverTime } from './journal-time.js';
import { countsJson, countsTable, MessageCounter } from './message-counter.js';
import {
  filterFrom,
  filterOptions,
  type FilterValues,
} from './message-filter.js';
import { RedisLink, withLink } from './redis-link.js';
import { liveScreen } from './live-screen.js';
import { targetFrom, type Target } from './target.js';
import { UsageError } from './usage.error.js';

type Passes = ReturnType<typeof filterFrom>;

interface StatsValues extends FilterValues {
  readonly for?: string;
  readonly interval?: string;
  readonly journal?: boolean;
  readonly since?: string;
}

const NOTES = `
One row for each service, entity type and action, the busiest first. A batch
is of type "batch" and a pattern of type "pattern", as they are written; "keys"
counts the cache keys of a batch as well. With --json one object each time, with all rows.
Without --for and --journal it ends at Ctrl-C, with exit code 0.`;

/** Counts the messages of a channel, or of its journal. @internal */
export const stats: CliCommand<StatsValues> = {
  define(command) {
    command.usage(
      '[options]\n       … stats --for 10s\n       … stats --journal [--since 1h]',
    );
    for (const option of filterOptions()) command.addOption(option);
    command
      .option('--for <time>', 'count for that long, print, and end')
      .option('--interval <time>', 'how often to print (1s)')
      .option('--journal', 'count what the journal holds, print, and end')
      .option('--since <time>', 'only the last 5m, 2h, … of the journal')
      .addHelpText('after', NOTES);
  },
  async run(values, _words, io) {
    const target = targetFrom(values, io.env);
    const passes = filterFrom(values);
    const interval = parseDuration('interval', values.interval ?? '1s');
    const window =
      values.for === undefined ? null : parseDuration('for', values.for);
    const since =
      values.since === undefined ? null : parseDuration('since', values.since);
    if (!values.journal) {
      if (since !== null) throw new UsageError('--since is for --journal.');
      await countLive({ target, passes, interval, window }, values.json, io);
      return 0;
    }
    if (window !== null) throw new UsageError('--for is not for --journal.');
    const counter = await withLink(target, (link) =>
      countJournal(link, passes, since),
    );
    io.out(values.json ? countsJson(counter) : countsTable(counter));
    return 0;
  },
};

interface Live {
  readonly target: Target;
  readonly passes: Passes;
  readonly interval: number;
  readonly window: number | null;
}

async function countLive(
  { target, passes, interval, window }: Live,
  json: boolean | undefined,
  io: Io,
): Promise<void> {
  const link = new RedisLink(target);
  const counter = new MessageCounter(Date.now());
  const screen = liveScreen(io);
  const stop = io.stopping();
  const print = (): void => {
    counter.until(Date.now());
    if (json) io.out(countsJson(counter));
    else screen.show(countsTable(counter));
  };
  const watcher = new ChannelWatcher(link, {
    signal: stop.signal,
    onNote: (note) => screen.note(note),
    onMessage: (received) => {
      if (passes(received)) counter.add(received);
    },
  });
  const timer =
    window === null
      ? setInterval(print, interval)
      : setTimeout(() => stop.abort(), window);
  try {
    await watcher.run();
    print();
  } finally {
    clearInterval(timer);
    link.close();
  }
}

/** Counts up to the journal's present end: it may grow as fast as it is read. */
async function countJournal(
  link: RedisLink,
  passes: Passes,
  since: number | null,
): Promise<MessageCounter> {
  const { journal } = link;
  const now = await serverTime(link);
  const tail = await link.within('the journal', journal.tail());
  const pager = new JournalPager((from, count) =>
    link.within('the journal', journal.read(from, count)),
  );
  const begin = since === null ? '-' : offsetAt(now - since);
  let last: string | null = null;
  const counter = new MessageCounter();
  for await (const { entries } of pager.pages(begin)) {
    for (const { offset, payload } of entries) {
      // Each page begins with the last entry of the page before.
      if (offset === last) continue;
      if (last === tail) break;
      last = offset;
      counter.until(millisecondsOf(offset));
      const received = readMessage(payload, true);
      if (passes(received)) counter.add(received);
    }
    if (last === tail) break;
  }
  counter.until(now);
  return counter;
}
