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
 * Where an answer was found. `MISS`: nowhere, this request loaded it from its
 * owner; `HIT`: in a cache, or with the load of another request; `L1` and `L2`
 * where it is known which.
 */
export type Source = 'L1' | 'L2' | 'HIT' | 'MISS';

const requests = new AsyncLocalStorage<{ source: Source }>();

/** Says in the header `X-Cache` of each answer where it was found. */
@Injectable()
export class SourceInterceptor implements NestInterceptor {
  /** To be called in the course of the request. */
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
