import type { Attributes } from '@opentelemetry/api';
import type { InvalidationMessage } from '../message/index.js';

/** The instrumentation scope of the library's spans and metrics. @internal */
export const SCOPE = 'nestjs-cache-invalidation';

/** @internal */
export const SERVICE = 'cache_invalidation.service';

/** The outcome of a publish. @internal */
export const STATUS = 'cache_invalidation.status';

/** By OpenTelemetry's semantic conventions. @internal */
export const FUNCTION_NAME = 'code.function.name';

/** By OpenTelemetry's semantic conventions. @internal */
export const ERROR_TYPE = 'error.type';

/**
 * Attributes for a sampler to decide by, from the semantic conventions for
 * messaging.
 *
 * @internal
 */
export function operationOn(
  channel: string,
  name: 'publish' | 'process',
): Attributes {
  return {
    'messaging.system': 'redis',
    'messaging.destination.name': channel,
    'messaging.operation.name': name,
    'messaging.operation.type': name === 'publish' ? 'send' : name,
  };
}

/**
 * The kind of a message, without its ids and patterns: they may be personal data, and
 * traces are kept where others read them.
 *
 * @internal
 */
export function kindOf(message: InvalidationMessage): Attributes {
  const { messageId, action, entityType, entityIds, widened } = message;
  return {
    'messaging.message.id': messageId,
    'cache_invalidation.action': action,
    'cache_invalidation.entity_type': entityType,
    'cache_invalidation.key_count': entityIds?.length,
    'cache_invalidation.widened': widened ?? undefined,
  };
}
