import type { Cluster, Redis } from 'ioredis';
import { openSubscription } from './open-subscription.js';
import type { ChannelOptions } from './redis-channel.js';
import { relayKey } from './redis-relay-record.js';

/** @internal */
export interface ReadingNeeds extends ChannelOptions {
  /** Other regions, those without a connection relayed by other processes. */
  readonly regions?:
    | {
        readonly sources: Readonly<
          Record<string, { readonly connection?: unknown }>
        >;
      }
    | undefined;
}

/**
 * Rights that Redis withholds from the user of a subscriber. It has no right to
 * scripts, so the commands themselves are tried; they change nothing.
 *
 * @internal
 */
export async function missingToRead(
  client: Redis | Cluster,
  journalKey: string,
  needs: ReadingNeeds,
): Promise<string[]> {
  const subscribe = subscribeIn(needs.sharded);
  const key = journalKey;
  const tried = await Promise.all([
    deniedIn('PING', client.ping()),
    deniedIn('XRANGE', client.xrange(key, '-', '+', 'COUNT', 1), key),
    deniedIn('XREVRANGE', client.xrevrange(key, '+', '-', 'COUNT', 1), key),
    deniedIn(subscribe, trySubscribing(client, needs)),
  ]);
  const missing = [...tried.flat(), ...(await missingProofs(client, needs))];
  return [...new Set(missing)];
}

/**
 * Rights that are missing to learn how the relays of other regions get on.
 *
 * @internal
 */
export async function missingProofs(
  client: Redis | Cluster,
  { channel, regions }: ReadingNeeds,
): Promise<string[]> {
  const tried = Object.keys(regions?.sources ?? {}).flatMap((source) => {
    const key = relayKey(channel, source);
    return [
      deniedIn('HMGET', client.hmget(key, 'offset'), key),
      deniedIn('PTTL', client.pttl(`${key}:proof`), key),
    ];
  });
  return [...new Set((await Promise.all(tried)).flat())];
}

/** @returns the command, or its key if that is denied; none if nothing is missing */
async function deniedIn(
  command: string,
  answer: Promise<unknown>,
  key = command,
): Promise<string[]> {
  try {
    await answer;
    return [];
  } catch (error) {
    const { message } = error as Error;
    if (!message.includes('NOPERM')) return [];
    return [/\bkeys?\b/.test(message) ? key : command];
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
