import {
  nodesOf,
  readConnectionName,
  type NamedConnection,
} from '../../transport/index.js';
import type { RedisLink } from '../redis.link.js';

/** One instance that is subscribed, as its connections' names say. @internal */
export interface Listener {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** How long its subscription has stood, in milliseconds. */
  readonly since: number;
  /** Entity types that it handles; `null` for all, `undefined` if it does not say. */
  readonly types: readonly string[] | null | undefined;
}

/** @internal */
export interface Listeners {
  readonly known: readonly Listener[];
  /** Subscriptions without such a name: other languages, older versions. */
  readonly unnamed: number;
}

/** Subscriptions of the channel, on every node. @internal */
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

/** @throws where CLIENT LIST or PUBSUB is not allowed. @internal */
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
      // Its subscription cannot be renamed while it stands, and may say less.
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
