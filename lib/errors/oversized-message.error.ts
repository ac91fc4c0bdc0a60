import { InvalidMessageError } from './invalid-message.error.js';

/**
 * A message was larger than `maxMessageBytes` and was not read. Its content is unknown, so
 * everything is evicted in its place.
 *
 * @internal
 */
export class OversizedMessageError extends InvalidMessageError {}
