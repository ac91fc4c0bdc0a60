import { AsyncResource } from 'node:async_hooks';
import { Inject, Injectable } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import {
  Instance,
  keyOf,
  type CommitPosition,
  type EntityInvalidation,
  type Invalidation,
} from '../message/index.js';
import { InvalidationStream } from '../stream/index.js';
import { Burst, type BurstLimit } from './burst.js';
import { MessageEncoder } from './message-encoder.js';
import { OffsetScope } from './offset-scope.js';
import { PublishQueue } from './publish-queue.js';
import { QUEUED, type PublishReceipt } from './publish-receipt.js';
import type { EncodedMessage } from './split-batch.js';

/** @internal */
export interface CoalescerOptions {
  readonly coalesce: boolean;
  /** Keys in one message. */
  readonly maxBatchSize: number;
}

/** A burst that may take more keys. */
interface OpenBurst {
  readonly burst: Burst;
  /** The receipt of all callers of the burst. */
  readonly receipt: Promise<PublishReceipt>;
}

/**
 * Joins the Deletes of one tick to one message, with the option `coalesce`. Updates,
 * patterns, batches and metadata never join, nor do two traces. Other messages close
 * the burst before them, so the order stays. A burst has the latest position of all.
 *
 * @internal
 */
@Injectable()
export class Coalescer {
  readonly #limit: BurstLimit;
  /** The burst of callers who wait for Redis. */
  #awaited: OpenBurst | null = null;
  /** The burst of callers who do not; this instance's consumers have its keys. */
  #unawaited: OpenBurst | null = null;

  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS)
    private readonly options: CoalescerOptions,
    private readonly instance: Instance,
    private readonly encoder: MessageEncoder,
    private readonly queue: PublishQueue,
    private readonly offsets: OffsetScope,
    private readonly stream: InvalidationStream,
  ) {
    this.#limit = { keys: options.maxBatchSize, bytes: encoder.batchBytes };
  }

  /**
   * @param at the commit of the change; `null` if it is not known
   * @param wait whether the caller waits for Redis; if not, this instance's consumers
   * have the invalidation when it returns
   * @returns `null` if the invalidation must leave as a message of its own
   */
  join(
    invalidation: Invalidation,
    at: CommitPosition | null,
    now: number,
    wait: boolean,
  ): Promise<PublishReceipt> | null {
    if (!this.options.coalesce || !isPlainDelete(invalidation)) return null;
    const key = keyOf(invalidation.entityType, invalidation.entityId);
    const trace = this.stream.tracing.current();
    let open = wait ? this.#awaited : this.#unawaited;
    if (
      open === null ||
      open.burst.trace !== trace ||
      !open.burst.add(invalidation, key, at)
    ) {
      const burst = this.#newBurst(invalidation, now, trace, wait);
      if (!burst.add(invalidation, key, at)) return null;
      open = this.#open(burst, now, wait);
    }
    if (wait) this.offsets.record(open.receipt, at);
    else this.stream.deliver(this.instance.stamp(invalidation, now, at));
    return open.receipt;
  }

  /** Nothing joins what was published so far. */
  close(): void {
    this.#awaited = null;
    this.#unawaited = null;
  }

  #newBurst(
    first: EntityInvalidation,
    now: number,
    trace: unknown,
    wait: boolean,
  ): Burst {
    const encode = (
      invalidation: Invalidation,
      at: CommitPosition | null,
    ): EncodedMessage => {
      // A tracer's hook may publish: that key would be missing in this message.
      if (wait) this.#awaited = null;
      else this.#unawaited = null;
      const message = this.instance.stamp(invalidation, now, at);
      const encoded = this.encoder.encodeStamped(message);
      if (!wait) encoded.span?.end('pending');
      return encoded;
    };
    // The span of the publish belongs to the trace of the callers.
    const isTraced = this.stream.tracing.active;
    return new Burst(
      first,
      this.#limit,
      trace,
      isTraced ? AsyncResource.bind(encode) : encode,
    );
  }

  #open(burst: Burst, now: number, wait: boolean): OpenBurst {
    if (!wait) {
      this.queue.push(burst, now, null);
      return (this.#unawaited = { burst, receipt: Promise.resolve(QUEUED) });
    }
    const receipt = new Promise<PublishReceipt>((resolve) =>
      this.queue.push(burst, now, (answer) => {
        burst.span?.end(answer.status);
        resolve(answer);
      }),
    );
    return (this.#awaited = { burst, receipt });
  }
}

/** The type of a key with a second colon could not be told from a batch. */
function isPlainDelete(one: Invalidation): one is EntityInvalidation {
  return (
    one.action === 'Delete' &&
    one.metadata === null &&
    !one.entityType.includes(':')
  );
}
