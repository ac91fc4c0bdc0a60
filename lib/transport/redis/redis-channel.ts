import type { Cluster, Redis } from 'ioredis';
import type { Published, PublishReply } from '../invalidation.transport.js';
import type { MessageSigner } from '../../signing/index.js';
import { withoutCommand } from './client-errors.js';
import { publishingNode } from './cluster-nodes.js';
import { isCluster } from './redis-connection.js';

/** @internal */
export interface ChannelOptions {
  readonly channel: string;
  /** Whether the channel is one of sharded Pub/Sub. */
  readonly sharded: boolean;
}

/**
 * A channel without a journal.
 *
 * @internal
 */
export class RedisChannel {
  constructor(
    private readonly client: Redis | Cluster,
    private readonly options: ChannelOptions,
    /** `null` where nothing is signed. */
    private readonly signer: MessageSigner | null = null,
  ) {}

  /** Publishes payloads in order, in one round trip. */
  async publish(unsigned: readonly string[]): Promise<PublishReply[]> {
    const { signer } = this;
    const payloads =
      signer === null
        ? unsigned
        : unsigned.map((payload) => signer.sign(payload).payload);
    const { channel, sharded } = this.options;
    const node = sharded ? this.client : publishingNode(this.client);
    if (node === null) throw new Error('No master node.');
    const publish = sharded ? 'spublish' : 'publish';
    if (isCluster(node)) {
      const pipeline = node.pipeline();
      for (const payload of payloads) pipeline[publish](channel, payload);
      const results = (await pipeline.exec()) ?? [];
      return results.map(([error, receivers]) =>
        error === null ? published(receivers) : withoutCommand(error),
      );
    }
    // One write for all of them. A pipeline of ioredis costs twice the CPU, and its
    // commands survive until the next full garbage collection.
    const { stream } = node as Partial<Redis>;
    let answers: Promise<PublishReply>[];
    stream?.cork();
    try {
      answers = payloads.map((payload) =>
        node[publish](channel, payload).then(published, withoutCommand<Error>),
      );
    } finally {
      stream?.uncork();
    }
    return Promise.all(answers);
  }
}

// A client of the application may be set to return numbers as text.
function published(receivers: unknown): Published {
  return { receivers: Number(receivers), offset: null };
}
