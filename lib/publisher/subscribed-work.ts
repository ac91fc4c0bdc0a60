import { Observable, takeWhile } from 'rxjs';

/**
 * An Observable as work: each subscription of the returned one is a unit of work,
 * which ends with it.
 *
 * @param run runs one unit of work, and rejects as the work does
 * @internal
 */
export function subscribedWork(
  source: Observable<unknown>,
  run: (work: () => Promise<void>) => Promise<void>,
): Observable<unknown> {
  return new Observable((observer) => {
    let stop!: () => void;
    run(
      () =>
        new Promise<void>((resolve, reject) => {
          // Nobody could unsubscribe from a synchronous source otherwise.
          const open = source.pipe(takeWhile(() => !observer.closed));
          const subscription = open.subscribe({
            next: (value) => observer.next(value),
            error: reject,
            complete: resolve,
          });
          stop = () => {
            subscription.unsubscribe();
            // Broken off, and perhaps committed: nothing may be dropped.
            resolve();
          };
        }),
    ).then(
      () => observer.complete(),
      (error: unknown) => observer.error(error),
    );
    return () => stop();
  });
}
