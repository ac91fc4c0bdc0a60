import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Observable, tap } from 'rxjs';
import { compareOffsets, isOffset } from '../message/index.js';
import { InvalidationPublisher } from '../publisher/index.js';
import { InvalidationSubscriber } from '../subscriber/index.js';
import { carrierOf, type OffsetCarrier } from './offset.carrier.js';

/**
 * Lets a client that has just written read its own write on any instance.
 *
 * A response tells in a header how far the journal came by what its request
 * published. A client that sends that header with its next requests is served
 * only once the instance that it meets has applied as much; at most a second
 * later, though: a read is never refused because an instance is behind.
 *
 * It serves HTTP, GraphQL over HTTP (Apollo on Express, Mercurius, or whatever has
 * `req` and `res` in its context), and gRPC, by metadata. Of messages over RabbitMQ, Kafka, NATS and MQTT 5 it reads the header;
 * their answers have none that a handler could set.
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
  /** Several resolvers answer in one response: the latest offset counts. */
  readonly #told = new WeakMap<object, string>();

  constructor(
    private readonly publisher: InvalidationPublisher,
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
      this.publisher.offsets.run((offset) => {
        const tell = (): void => this.#tell(carrier, offset());
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

  #tell({ answer, tell }: OffsetCarrier, offset: string | null): void {
    if (offset === null || answer === null) return;
    const told = this.#told.get(answer);
    if (told !== undefined && compareOffsets(offset, told) <= 0) return;
    this.#told.set(answer, offset);
    tell(offset);
  }
}
