import { InvalidMessageError } from '../errors/index.js';
import { checkEntityId, show, type EntityId } from './cache-key.js';
import { escapePattern } from './pattern.js';

/**
 * A Redis glob with literal values in it: `*`, `?`, `[` and
 * `\` in a value are escaped, so that the pattern matches the entries of that
 * value and of no other.
 *
 * @throws InvalidMessageError for a value that is no id (`undefined` and `''`
 * among them)
 * @example
 * ```ts
 * glob`feed:${'a[1]'}:*`; // 'feed:a\\[1]:*'
 * ```
 * @publicApi
 */
export function glob(
  pattern: TemplateStringsArray,
  ...values: EntityId[]
): string {
  // Called as an ordinary function, with the values already inside.
  if (!Array.isArray((pattern as Partial<TemplateStringsArray> | null)?.raw)) {
    throw new InvalidMessageError(
      `glob(${show(pattern)}) cannot know what to escape.`,
      'Write it as a template tag: glob`feed:${id}:*`.',
      'pattern',
    );
  }
  return pattern.raw
    .map((text, index) =>
      index === 0
        ? text
        : escapePattern(checkEntityId(values[index - 1]!)) + text,
    )
    .join('');
}
