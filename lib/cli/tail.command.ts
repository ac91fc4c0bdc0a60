import { backlogFrom, backlogOptions, type BacklogValues } from './backlog.js';
import { ChannelWatcher } from './channel-watcher.js';
import type { CliCommand } from './command.js';
import { parseCount } from './duration.js';
import {
  filterFrom,
  filterOptions,
  type FilterValues,
} from './message-filter.js';
import { messageJson, textLine } from './message-line.js';
import { RedisLink } from './redis-link.js';
import { targetFrom } from './target.js';

interface TailValues extends FilterValues, BacklogValues {
  readonly count?: string;
}

const NOTES = `
Each line: local time, service, action, keys or pattern, latency by the clocks of
publisher and reader, size. With --json one object a line: the message as it was
written, and receivedAt, latencyMs (null from the journal), bytes, replayed; for a
malformed message the reason (malformed) and the beginning of its payload.
A filter may be given several times: one of its values must match.
Ends at Ctrl-C, with exit code 0. Messages that were missed while the connection
was lost are read from the journal.`;

/** Shows the messages of a channel as they are published. @internal */
export const tail: CliCommand<TailValues> = {
  define(command) {
    for (const option of [...filterOptions(), ...backlogOptions()]) {
      command.addOption(option);
    }
    command
      .option('--count <n>', 'end after that many messages')
      .addHelpText('after', NOTES);
  },
  async run(values, _words, io) {
    const link = new RedisLink(targetFrom(values, io.env));
    const passes = filterFrom(values);
    const limit =
      values.count === undefined
        ? Infinity
        : parseCount('count', values.count, Number.MAX_SAFE_INTEGER);
    const stop = io.stopping();
    let shown = 0;
    const watcher = new ChannelWatcher(link, {
      begin: backlogFrom(values),
      signal: stop.signal,
      onNote: (note) => io.note(io.style('dim', note)),
      onMessage: (received) => {
        if (!passes(received)) return;
        io.out(
          values.json ? messageJson(received) : textLine(received, io.style),
        );
        if (++shown >= limit) stop.abort();
      },
    });
    try {
      await watcher.run();
    } finally {
      link.close();
    }
    return 0;
  },
};
