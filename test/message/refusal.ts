import { InvalidMessageError } from 'nestjs-cache-invalidation';

/** The error by which input is refused. @throws whatever else comes of it */
export function refusalOf(act: () => unknown): InvalidMessageError {
  try {
    act();
  } catch (error) {
    if (error instanceof InvalidMessageError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}
