import { ChannelWatcher } from '../channel-watcher.js';
import { showDuration } from '../duration.js';
import { serverTime } from '../journal-time.js';
import { visible } from '../visible.js';
import { ok, warn, type Check } from './finding.js';
import { countSubscriptions } from './listeners.js';

const CLOCKS_APART_MS = 1_000;

/** @internal */
export const CHANNEL_CHECKS: readonly Check[] = [
  {
    name: 'subscribers',
    async run(link) {
      const { channel } = link.target;
      const count = await countSubscriptions(link);
      return count > 0
        ? ok(`listening on ${visible(channel)}: ${count}`)
        : warn(
            `nobody listens on ${visible(channel)}`,
            'See that the services run, and that channel and sharded are theirs (--channel, --sharded).',
          );
    },
  },
  {
    name: 'clock',
    async run(link) {
      const before = Date.now();
      const server = await serverTime(link);
      const apart = server - (before + Date.now()) / 2;
      const message = `the server's is ${showDuration(Math.abs(apart))} ${apart < 0 ? 'behind' : 'ahead of'} this one`;
      return Math.abs(apart) < CLOCKS_APART_MS
        ? ok(message)
        : warn(
            message,
            'Run NTP on both. Nothing is lost, since the journal sets the order, but latencies are wrong.',
          );
    },
  },
];

/**
 * Listens to the channel.
 *
 * @param window milliseconds
 * @internal
 */
export function listening(window: number): Check {
  return {
    name: 'channel',
    async run(link) {
      const unjournaled = new Set<string>();
      let count = 0;
      let malformed = 0;
      const stop = new AbortController();
      const timer = setTimeout(() => stop.abort(), window);
      const watcher = new ChannelWatcher(link, {
        signal: stop.signal,
        onNote: () => undefined,
        onMessage: ({ message }) => {
          count++;
          if (message === null) malformed++;
          // Bounded: names come from outside.
          else if (message.offset === null && unjournaled.size < 10) {
            unjournaled.add(visible(message.sourceService, 40));
          }
        },
      });
      await watcher.run().finally(() => clearTimeout(timer));
      const message = `${count} messages in ${showDuration(window)}`;
      if (malformed > 0) {
        return warn(
          `${message}, ${malformed} of them malformed`,
          'Some program publishes something else on this channel: see it with tail.',
        );
      }
      return unjournaled.size === 0
        ? ok(message)
        : warn(
            `${message}, without a place in the journal from ${[...unjournaled].join(', ')}`,
            'While a service publishes so, each reconnect evicts everything: switch its journal on.',
          );
    },
  };
}
