import { InvalidMessageError } from './invalid-message.error.js';

/**
 * There is no id where one should be: it may be known at another time.
 *
 * @internal
 */
export class MissingIdError extends InvalidMessageError {
  override name = 'InvalidMessageError';
}
