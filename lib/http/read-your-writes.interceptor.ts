import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Observable, tap } from 'rxjs';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { OffsetScope } from '../publisher/index.js';
import { withReadPosition } from '../replica/index.js';
import { InvalidationSubscriber } from '../subscriber/index.js';
import { carrierOf, type OffsetCarrier } from './offset-carrier.js';
import {
  formatToken,
  mergeToken,
  offsetsIn,
  parseToken,
  positionIn,
  tokenOf,
  type ReadToken,
} from './read-token.js';

/** How long a request waits for journals and replicas in all, in milliseconds. */
const PATIENCE_MS = 1_000;

/**
 * Lets a client that has just written read its own write on any instance.
 *
 * A header of the response holds the journal offset that its request has reached by
 * publishing. A client that sends this header with its next requests is served once the
 * instance has applied that offset, and after a second at the latest: a read is never
 * refused because an instance is behind. With the option `regions` it holds an offset for
 * each region in which the client has written.
 *
 * The header also holds the position of the request's last commit in PostgreSQL's log, as far as
 * messages have one. Near caches with the option `replica` then load from `primary`, or
 * wait until their replica has passed it, within the same second.
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
  /** Tokens by response; several resolvers share one, and the latest offsets count. */
  readonly #sent = new WeakMap<object, ReadToken>();
  /** The name of this region; `''` without regions. */
  readonly #local: string;

  /** @internal */
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    { regions }: { readonly regions?: { readonly local: string } },
    private readonly offsets: OffsetScope,
    private readonly subscriber: InvalidationSubscriber,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    this.#local = regions?.local ?? '';
  }

  /** Delays the request until its offset is applied, called by Nest. */
  async intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    const carrier = carrierOf(context, (response, name, value) =>
      this.adapterHost.httpAdapter.setHeader(response, name, value),
    );
    if (carrier === null) return next.handle();
    const asked = parseToken(carrier.asked, this.#local);
    const until = performance.now() + PATIENCE_MS;
    await Promise.all(offsetsIn(asked).map((part) => this.#catchUp(part)));
    const at = positionIn(asked);
    return new Observable((observer) =>
      this.offsets.run((offset, lsn) => {
        const tell = (): void =>
          this.#tell(carrier, asked, tokenOf(this.#local, offset(), lsn()));
        // A write may have been committed before the method failed.
        return withReadPosition(at && { at, until }, () =>
          next
            .handle()
            .pipe(tap({ next: tell, error: tell, complete: tell }))
            .subscribe(observer),
        );
      }),
    );
  }

  /** An instance that is too far behind serves an older copy. */
  async #catchUp([region, offset]: [string, string]): Promise<void> {
    const options = {
      timeout: PATIENCE_MS,
      ...(region !== this.#local && { region }),
    };
    await this.subscriber.caughtUp(offset, options).catch(() => undefined);
  }

  #tell(
    { answer, tell }: OffsetCarrier,
    asked: ReadToken,
    reached: ReadToken,
  ): void {
    if (reached.size === 0 || answer === null) return;
    // Clients that keep the last header only must not forget the other parts.
    const repeated = [...asked].filter(([name]) => name !== '');
    const sent = this.#sent.get(answer) ?? new Map(repeated);
    if (!mergeToken(sent, reached)) return;
    this.#sent.set(answer, sent);
    tell(formatToken(sent));
  }
}
