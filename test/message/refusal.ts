import { InvalidMessageError } from 'nestjs-cache-invalidation';

/** Error with which input is rejected. @throws any other exception */
export function refusalOf(act: () => unknown): InvalidMessageError {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidMessageError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}
