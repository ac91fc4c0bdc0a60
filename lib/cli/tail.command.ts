import { backlogFrom, backlogOptions, type BacklogValues } from './backlog.js';
import { ChannelWatcher } from './channel.watcher.js';
import type { CliCommand } from './command.js';
import { parseCount } from './duration.js';
import {
  filterFrom,
  filterOptions,
  type FilterValues,
} from './message.filter.js';
import { messageJson, textLine } from './message.line.js';
import { RedisLink } from './redis.link.js';
import { targetFrom } from './target.js';

interface TailValues extends FilterValues, BacklogValues {
  readonly count?: string;
}

const NOTES = `
Each line: local time, service, action, what, latency by the clocks of publisher
and reader, size. With --json one object a line: the message as it was written,
and receivedAt, latencyMs (null from the journal), bytes, replayed; of what is
no message: malformed, which says why, and payload, its beginning.
A filter may be given several times: one of its values must match.
Ends at Ctrl-C, with exit code 0. What was missed while the connection was away
is read in the journal.`;

/** Shows what is said on a channel, as it is said. @internal */
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
      onHeard: (heard) => {
        if (!passes(heard)) return;
        io.out(values.json ? messageJson(heard) : textLine(heard, io.style));
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
