import { InvalidMessageError } from './invalid-message.error.js';

/**
 * An id is missing; it may be known at another time.
 *
 * @internal
 */
export class MissingIdError extends InvalidMessageError {
  override name = 'InvalidMessageError';
}
