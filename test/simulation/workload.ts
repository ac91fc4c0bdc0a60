import {
  batch,
  entity,
  everything,
  patternOf,
  type Invalidation,
} from '../../lib/message/index.js';
import type { Random } from './random.js';

export const KEYS = [
  ...Array.from({ length: 12 }, (_, n) => `user:${n}`),
  ...Array.from({ length: 6 }, (_, n) => `session:${n}`),
];

/** An invalidation, and the keys of the rows that change with it. */
export function changeFrom(random: Random): [Invalidation, string[]] {
  const key = random.pick(KEYS);
  const [type = '', id = ''] = key.split(':');
  const dice = random.next();
  if (dice < 0.8) {
    return [entity(type === 'user' ? 'User' : type, id), [key]];
  }
  if (dice < 0.9) {
    const keys = [...new Set([key, random.pick(KEYS), random.pick(KEYS)])];
    return [batch(keys), keys];
  }
  if (dice < 0.98) {
    const glob = random.pick([`${type}:*`, 'user:1*', '*:2']);
    const named =
      glob === `${type}:*` ? type : glob === '*:2' ? ':2' : 'user:1';
    return [
      patternOf(glob),
      KEYS.filter((each) =>
        glob === '*:2' ? each.endsWith(named) : each.startsWith(named),
      ),
    ];
  }
  return [everything(), KEYS];
}

export function said({
  action,
  entityType,
  entityId,
  pattern,
  entityIds,
}: Invalidation): string {
  return `${action} ${pattern ?? entityIds?.join() ?? `${entityType}:${entityId}`}`;
}
