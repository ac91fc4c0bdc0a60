import type { Cluster, Redis } from 'ioredis';
import { openSubscription } from './open-subscription.js';
import type { ChannelOptions } from './redis-channel.js';

/**
 * Rights that Redis withholds from the user of a subscriber. It has no right to
 * scripts, so the commands themselves are tried; they change nothing.
 *
 * @internal
 */
export async function missingToRead(
  client: Redis | Cluster,
  journalKey: string,
  options: ChannelOptions,
): Promise<string[]> {
  const subscribe = subscribeIn(options.sharded);
  const tried = await Promise.all([
    deniedIn('PING', client.ping()),
    deniedIn('XRANGE', client.xrange(journalKey, '-', '+', 'COUNT', 1)),
    deniedIn('XREVRANGE', client.xrevrange(journalKey, '+', '-', 'COUNT', 1)),
    deniedIn(subscribe, trySubscribing(client, options)),
  ]);
  const missing = tried.map((denied) =>
    denied === 'key' ? journalKey : denied,
  );
  return [...new Set(missing)].filter((right) => right !== null);
}

/** @returns the command, or `key` for the right to its key; `null` if nothing is missing */
async function deniedIn(
  command: string,
  answer: Promise<unknown>,
): Promise<string | null> {
  try {
    await answer;
    return null;
  } catch (error) {
    const { message } = error as Error;
    if (!message.includes('NOPERM')) return null;
    return /\bkeys?\b/.test(message) ? 'key' : command;
  }
}

async function trySubscribing(
  client: Redis | Cluster,
  { channel, sharded }: ChannelOptions,
): Promise<void> {
  const connection = openSubscription(client, null);
  // The command fails as well.
  connection?.on('error', () => undefined);
  try {
    await (sharded
      ? connection?.ssubscribe(channel)
      : connection?.subscribe(channel));
  } finally {
    connection?.disconnect();
  }
}

/** @internal */
export function subscribeIn(sharded: boolean): string {
  return sharded ? 'SSUBSCRIBE' : 'SUBSCRIBE';
}
