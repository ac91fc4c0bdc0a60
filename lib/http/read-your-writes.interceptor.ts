import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Observable, tap } from 'rxjs';
import { compareOffsets, isOffset } from '../message/index.js';
import { OffsetScope } from '../publisher/index.js';
import { InvalidationSubscriber } from '../subscriber/index.js';
import { carrierOf, type OffsetCarrier } from './offset-carrier.js';

/**
 * Lets a client that has just written read its own write on any instance.
 *
 * A header of the response holds the journal offset that its request has reached by
 * publishing. A client that sends this header with its next requests is served once the
 * instance has applied that offset, and after a second at the latest: a read is never
 * refused because an instance is behind.
 *
 * The interceptor serves HTTP, GraphQL over HTTP (Apollo on Express, Mercurius, or any
 * context with `req` and `res`), and gRPC, by metadata. It reads the header of messages
 * over RabbitMQ, Kafka, NATS and MQTT 5, whose answers have no header that a handler could
 * set.
 *
 * A synchronous decorated method returns before its message is in the journal, so no
 * header holds its offset. Asynchronous handlers are not waited for.
 *
 * @example
 * ```ts
 * providers: [{ provide: APP_INTERCEPTOR, useClass: ReadYourWritesInterceptor }]
 * ```
 * @publicApi
 */
@Injectable()
export class ReadYourWritesInterceptor implements NestInterceptor {
  /** Offsets by response; several resolvers share one, and the latest offset counts. */
  readonly #sent = new WeakMap<object, string>();

  /** @internal */
  constructor(
    private readonly offsets: OffsetScope,
    private readonly subscriber: InvalidationSubscriber,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  /** Delays the request until its offset is applied, called by Nest. */
  async intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    const carrier = carrierOf(context, (response, name, value) =>
      this.adapterHost.httpAdapter.setHeader(response, name, value),
    );
    if (carrier === null) return next.handle();
    await this.#catchUp(carrier.asked);
    return new Observable((observer) =>
      this.offsets.run((offset) => {
        const tell = (): void => this.#tell(carrier, offset());
        // A write may have been committed before the method failed.
        return next
          .handle()
          .pipe(tap({ next: tell, error: tell, complete: tell }))
          .subscribe(observer);
      }),
    );
  }

  /** Ignores a header that is no offset: clients may send anything. */
  async #catchUp(offset: unknown): Promise<void> {
    if (!isOffset(offset)) return;
    try {
      await this.subscriber.caughtUp(offset);
    } catch {
      // The instance is too far behind, or has no journal: serve an older copy.
    }
  }

  #tell({ answer, tell }: OffsetCarrier, offset: string | null): void {
    if (offset === null || answer === null) return;
    const sent = this.#sent.get(answer);
    if (sent !== undefined && compareOffsets(offset, sent) <= 0) return;
    this.#sent.set(answer, offset);
    tell(offset);
  }
}
