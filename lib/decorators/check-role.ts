import { Logger } from '@nestjs/common';
import { mayPublish, mayReceive, type RoleOptions } from '../common/index.js';
import type { FoundHandler } from '../handlers/index.js';
import { unheard } from '../stream/index.js';
import type { FoundDecoration } from './decoration-checks.js';

/**
 * Compares the decorators of an application with its role. A method that changes data
 * must go on changing it, so a subscriber is only warned; a cache or a handler of a
 * publisher would go stale.
 *
 * @throws InvalidationConfigurationError with every cache and handler of a publisher
 * @internal
 */
export function checkRole(
  options: RoleOptions,
  decorations: readonly FoundDecoration[],
  handlers: readonly FoundHandler[],
): void {
  if (!mayReceive(options)) {
    const consumers = [...handlers, ...decorationsThat('caches', decorations)];
    if (consumers.length > 0) throw unheard(...namesOf(consumers));
  }
  const writers = decorationsThat('invalidates', decorations);
  if (mayPublish(options) || writers.length === 0) return;
  new Logger('CacheInvalidation').warn(
    `This application only receives (role: "subscriber"), so what these methods change is not published, and copies of it go stale: ${namesOf(writers).join(', ')}. Set role: "both", or move them to an application that publishes.`,
  );
}

function decorationsThat(
  does: FoundDecoration['does'],
  decorations: readonly FoundDecoration[],
): readonly FoundDecoration[] {
  return decorations.filter((decoration) => decoration.does === does);
}

/** Each once: a method may have several decorators. */
function namesOf(found: readonly { readonly name: string }[]): string[] {
  return [...new Set(found.map(({ name }) => name))];
}
