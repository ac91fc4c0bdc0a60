import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Observable, tap } from 'rxjs';

/**
 * The source of the value in an answer. `MISS`: this request loaded it from its
 * owner; `HIT`: from a cache, or from the load of another request; `L1` or `L2` if
 * the tier is known.
 */
export type Source = 'L1' | 'L2' | 'HIT' | 'MISS';

const requests = new AsyncLocalStorage<{ source: Source }>();

/** Sets the header `X-Cache` of each answer to the source of its value. */
@Injectable()
export class SourceInterceptor implements NestInterceptor {
  /** Records the source of the value; called while the request is handled. */
  static found(source: Source): void {
    const request = requests.getStore();
    if (request !== undefined) request.source = source;
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const response = context.switchToHttp().getResponse<ServerResponse>();
    const request: { source: Source } = { source: 'HIT' };
    return new Observable((observer) =>
      requests.run(request, () =>
        next
          .handle()
          .pipe(tap(() => response.setHeader('X-Cache', request.source)))
          .subscribe(observer),
      ),
    );
  }
}
