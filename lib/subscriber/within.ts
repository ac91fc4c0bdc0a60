import { InvalidationTimeoutError } from '../errors/index.js';

/**
 * The same promise, but never pending for longer than `timeout` milliseconds.
 *
 * @param what for the error's message: "Redis has not answered …"
 * @internal
 */
export async function within<T>(
  timeout: number,
  what: string,
  promise: Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new InvalidationTimeoutError(
            `Redis has not answered ${what} for ${timeout} ms.`,
            'It is asked again; until then nothing proves that this instance is current.',
            timeout,
          ),
        ),
      timeout,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
