import {
  nodesOf,
  readConnectionName,
  type NamedConnection,
} from '../../transport/index.js';
import type { RedisLink } from '../redis-link.js';

/** A subscribed instance, by the names of its connections. @internal */
export interface Listener {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Milliseconds since its subscription was opened. */
  readonly since: number;
  /** Entity types that it handles; `null` for all, `undefined` if unknown. */
  readonly types: readonly string[] | null | undefined;
}

/** The subscriptions of a channel. @internal */
export interface Listeners {
  readonly known: readonly Listener[];
  /** Subscriptions without a name of this library: other languages, older versions. */
  readonly unnamed: number;
}

/** Counts the subscriptions of the channel on every node. @internal */
export async function countSubscriptions(link: RedisLink): Promise<number> {
  const { channel, sharded } = link.target;
  const counts = await Promise.all(
    nodesOf(link.client).map(async (node) => {
      const [, listeners] = await link.within(
        'PUBSUB NUMSUB',
        sharded
          ? node.pubsub('SHARDNUMSUB', channel)
          : node.pubsub('NUMSUB', channel),
      );
      return Number(listeners);
    }),
  );
  return counts.reduce((sum, each) => sum + each, 0);
}

/** @throws the error of Redis if CLIENT LIST or PUBSUB is not allowed. @internal */
export async function findListeners(link: RedisLink): Promise<Listeners> {
  const [count, lists] = await Promise.all([
    countSubscriptions(link),
    Promise.all(
      nodesOf(link.client).map((node) =>
        link.within('CLIENT LIST', node.client('LIST')),
      ),
    ),
  ]);
  const connections = lists.flatMap((list) =>
    connectionsIn(String(list), link.target.channel),
  );
  const handled = new Map<string, NamedConnection['types']>();
  for (const { role, origin, types } of connections) {
    if (role === 'commands') handled.set(origin, types);
  }
  const subscriptions = connections.filter(
    ({ role }) => role === 'subscription',
  );
  const known = subscriptions.map(
    ({ serviceName, origin, version, since }): Listener => ({
      service: serviceName,
      instance: origin,
      version,
      since,
      // An open subscription cannot be renamed, so its name may list fewer types.
      types: handled.get(origin),
    }),
  );
  return { known, unnamed: Math.max(0, count - known.length) };
}

type Connection = NamedConnection & { readonly since: number };

function connectionsIn(list: string, channel: string): Connection[] {
  return list.split('\n').flatMap((line) => {
    const fields = new Map(
      line.split(' ').map((field): [string, string] => {
        const at = field.indexOf('=');
        return [field.slice(0, at), field.slice(at + 1)];
      }),
    );
    const named = readConnectionName(fields.get('name') ?? '', channel);
    if (named === null) return [];
    return [{ ...named, since: Number(fields.get('age')) * 1_000 }];
  });
}
