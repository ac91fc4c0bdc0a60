import { InvalidMessageError } from './invalid-message.error.js';

/**
 * A message was larger than `maxMessageBytes` and not read. What it said is
 * unknown, so everything is evicted in its place.
 *
 * @internal
 */
export class OversizedMessageError extends InvalidMessageError {}
