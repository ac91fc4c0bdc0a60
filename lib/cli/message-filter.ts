import {
  affects,
  compilePattern,
  concerns,
  keysOf,
  literalPrefix,
  type InvalidationMessage,
} from '../message/index.js';
import { Option } from 'commander';
import { collected } from './command.js';
import type { ReceivedMessage } from './received-message.js';
import { UsageError } from './usage.error.js';

/** @internal */
export interface FilterValues {
  readonly type?: readonly string[];
  readonly service?: readonly string[];
  readonly action?: readonly string[];
  readonly cacheKey?: readonly string[];
}

/** @internal */
export const filterOptions = (): Option[] =>
  [
    new Option(
      '--type <type>',
      'only messages that may affect this entity type, such as User',
    ),
    new Option('--service <name>', 'only messages of this service'),
    new Option('--action <action>', 'only Delete, Update, Batch or Pattern'),
    new Option(
      '--cache-key <glob>',
      "only messages that may affect a key such as user:7 or 'user:*'",
    ),
  ].map((option) => option.argParser(collected));

const ACTIONS = ['Delete', 'Update', 'Batch', 'Pattern'];

type Test = (message: InvalidationMessage) => boolean;

/**
 * A message passes if each given option matches, by one of its values. Malformed
 * messages pass only without filters.
 *
 * @throws UsageError for an action that does not exist.
 * @internal
 */
export function filterFrom({
  type,
  service,
  action,
  cacheKey,
}: FilterValues): (received: ReceivedMessage) => boolean {
  const tests: Test[] = [];
  if (type) tests.push(concerns(type));
  if (service)
    tests.push(({ sourceService }) => service.includes(sourceService));
  if (action) {
    const wanted = new Set(action.map(actionFrom));
    tests.push((message) => wanted.has(message.action));
  }
  if (cacheKey) {
    const touches = cacheKey.map(touching);
    tests.push((message) => touches.some((touch) => touch(message)));
  }
  return ({ message }) =>
    message === null
      ? tests.length === 0
      : tests.every((passes) => passes(message));
}

function actionFrom(text: string): string {
  const found = ACTIONS.find(
    (action) => action.toLowerCase() === text.toLowerCase(),
  );
  if (found !== undefined) return found;
  throw new UsageError(
    'There is no such --action.',
    `Give one of ${ACTIONS.join(', ')}.`,
  );
}

function touching(glob: string): Test {
  const matches = compilePattern(glob);
  const literal = literalPrefix(glob);
  return (message) => {
    const keys = keysOf(message);
    if (keys !== null) return keys.some(matches);
    if (!/[*?[\\]/.test(glob)) return affects(message, glob);
    // Two globs may have a key in common unless their literal beginnings differ.
    const other = literalPrefix(message.pattern ?? '');
    return other.startsWith(literal) || literal.startsWith(other);
  };
}
