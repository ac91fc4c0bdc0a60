import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Observable, tap } from 'rxjs';
import { isOffset } from '../message/index.js';
import { InvalidationPublisher } from '../publisher/index.js';
import { InvalidationSubscriber } from '../subscriber/index.js';

/**
 * The header of `ReadYourWritesInterceptor`, of responses and requests alike.
 *
 * @publicApi
 */
export const OFFSET_HEADER = 'cache-invalidation-offset';

/**
 * Lets a client that has just written read its own write on any instance.
 *
 * A response tells in a header how far the journal came by what its request
 * published. A client that sends that header with its next requests is served
 * only once the instance that it meets has applied as much; at most a second
 * later, though: a read is never refused because an instance is behind.
 *
 * What a synchronous decorated method says is not known to be in the journal
 * when it returns, and so is in no header; nor are asynchronous handlers waited
 * for.
 *
 * @example
 * ```ts
 * providers: [{ provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor }]
 * ```
 * @publicApi
 */
@Injectable()
export class ReadYourWritesInterceptor implements NestInterceptor {
  constructor(
    private readonly publisher: InvalidationPublisher,
    private readonly subscriber: InvalidationSubscriber,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /** @internal */
  async intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    if (context.getType() !== 'http') return next.handle();
    const http = context.switchToHttp();
    const request = http.getRequest<{ headers: Record<string, unknown> }>();
    await this.#catchUp(request.headers[OFFSET_HEADER]);
    return new Observable((observer) =>
      this.publisher.offsets.run((offset) => {
        const tell = (): void => this.#tell(http.getResponse(), offset());
        // A write may have been committed and told before the method failed.
        return next
          .handle()
          .pipe(tap({ next: tell, error: tell, complete: tell }))
          .subscribe(observer);
      }),
    );
  }

  /** What a client sends is not to be trusted to be an offset. */
  async #catchUp(offset: unknown): Promise<void> {
    if (!isOffset(offset)) return;
    try {
      await this.subscriber.caughtUp(offset);
    } catch {
      // Too far behind, or without a journal: an older copy is better than none.
    }
  }

  #tell(response: { headersSent?: boolean }, offset: string | null): void {
    if (offset === null || response.headersSent === true) return;
    this.adapterHost.httpAdapter.setHeader(response, OFFSET_HEADER, offset);
  }
}
