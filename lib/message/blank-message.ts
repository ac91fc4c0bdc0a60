import type { InvalidationMessage } from './invalidation-message.js';

/**
 * The fields of a message, in their order. Each message begins as a copy of it, and
 * not as a literal: V8 watches a literal, and once its objects have survived, as those
 * of a replay or of an outage do, it allocates all later ones in old memory. Decoding
 * then takes several times as long (`npm run bench -- --only replay --only codec`).
 *
 * @internal
 */
export const BLANK_MESSAGE = {
  messageId: '',
  action: 'Pattern',
  entityType: '*',
  entityId: null,
  pattern: null,
  entityIds: null,
  timestamp: '',
  sourceService: '',
  metadata: null,
  origin: null,
  offset: null,
  previous: null,
  trace: null,
  at: null,
  region: null,
  path: null,
  own: false,
  widened: null,
} satisfies Record<keyof InvalidationMessage, unknown>;
