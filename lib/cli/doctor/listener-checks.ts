import {
  entityTypeOf,
  keyPrefixOf,
  prefixesOf,
  type InvalidationMessage,
} from '../../message/index.js';
import { unseenPrefixes } from '../unseen-types.js';
import { visible } from '../visible.js';
import { ok, unknown, warn, type Check, type Finding } from './finding.js';
import { lastEntries } from './journal-checks.js';
import { findListeners, type Listener } from './listeners.js';

/** Types that a warning names. */
const MOST_NAMED = 20;

/** @internal */
export const LISTENER_CHECKS: readonly Check[] = [
  {
    name: 'listeners',
    async run(link) {
      const { known, unnamed } = await findListeners(link);
      const count = known.length + unnamed;
      if (count === 0) return unknown('nobody listens');
      const message =
        unnamed === 0
          ? `${count}`
          : `${count}, ${unnamed} of which give no name`;
      return { ...ok(message), details: known.map(described) };
    },
  },
  {
    name: 'handled types',
    async run(link) {
      const { known, unnamed } = await findListeners(link);
      const all = known.find(({ types }) => types === null);
      if (all !== undefined) {
        return ok(
          `all of them: ${visible(all.service)} has a cache or a handler for every type`,
        );
      }
      const silent = known.filter(({ types }) => types === undefined).length;
      if (known.length === 0 || unnamed + silent > 0) {
        return unknown(
          `${unnamed + silent} of ${known.length + unnamed} listeners do not say what they handle`,
        );
      }
      const handled = new Set(
        known.flatMap(({ types }) => types ?? []).map(keyPrefixOf),
      );
      const entries = await lastEntries(link);
      return judge(
        entries.flatMap(({ message }) => message ?? []),
        handled,
      );
    },
  },
  {
    name: 'unpublished',
    async run(link) {
      const { known } = await findListeners(link);
      const handled = new Set(known.flatMap(({ types }) => types ?? []));
      if (handled.size === 0) return ok('no listener names single types');
      const { prefixes, searched } = await unseenPrefixes(
        link,
        [...handled].map(keyPrefixOf),
      );
      if (searched === 0) return unknown('there is no message to compare with');
      if (prefixes.length === 0) {
        return ok('nothing: every type that listeners name was published');
      }
      return warn(
        `handled, and not published in the last ${searched} messages: ${listOf(prefixes.map(entityTypeOf))}`,
        'If it changes rarely, all is well. Otherwise its publisher writes the type differently, or does not publish: its copies end by their TTL only.',
      );
    },
  },
];

function judge(
  messages: readonly InvalidationMessage[],
  handled: ReadonlySet<string>,
): Finding {
  const unhandled = new Map<string, number>();
  for (const message of messages) {
    const prefixes = prefixesOf(message).map((prefix) => prefix.split(':')[0]!);
    for (const prefix of new Set(prefixes)) {
      // A pattern that begins with no type may affect any type.
      if (prefix === '' || handled.has(prefix)) continue;
      const type = entityTypeOf(prefix);
      unhandled.set(type, (unhandled.get(type) ?? 0) + 1);
    }
  }
  if (unhandled.size === 0) {
    return ok(`every type of the last ${messages.length} messages`);
  }
  const list = [...unhandled]
    .toSorted(([, a], [, b]) => b - a)
    .map(([type, count]) => `${type} (${count})`);
  return warn(
    `published, and handled by nobody who listens now: ${listOf(list)}, of the last ${messages.length} messages`,
    'A cache of that type is not bound, or its service is down; or nobody keeps copies of it, and it need not be published.',
  );
}

/** The first of them, and how many more there are. */
function listOf(names: readonly string[]): string {
  const named = names.slice(0, MOST_NAMED).map((name) => visible(name, 70));
  const more = names.length - named.length;
  return named.join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function described({ service, instance, version, since }: Listener) {
  const from = new Date(Date.now() - since);
  return { service, instance, version, since: from.toISOString() };
}
