/**
 * The codec, cache keys and globs, for programs that read or write the channel
 * themselves.
 *
 * @module wire
 */
export {
  buildPattern,
  compilePattern,
  decodeMessage,
  encodeMessage,
  extractEntityType,
  InvalidationMessageDto,
  isCacheKey,
  matchesPattern,
  parseCacheKey,
  parseMessage,
  type AnyEntityType,
  type BatchInvalidation,
  type BuiltInEntityType,
  type CacheKeyParts,
  type EntityInvalidation,
  type InvalidationMessage,
  type MessageEnvelope,
  type PatternInvalidation,
  type TraceContext,
} from '../message/index.js';
