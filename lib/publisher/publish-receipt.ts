/**
 * The outcome of a publish.
 *
 * - `delivered`: Redis has it, and handed it to `receivers` connections
 * - `queued`: Redis is away or slow; it is in the outbox and will be sent
 * - `deferred`: an `InvalidationScope` holds it back until the commit
 * - `disabled`: the module is switched off, or there was nothing to publish
 *
 * @publicApi
 */
export interface PublishReceipt {
  readonly status: 'delivered' | 'queued' | 'deferred' | 'disabled';
  /**
   * `null` where no message was made, or none yet. Of a batch that was split: the
   * last; never one that a cascade added.
   */
  readonly messageId: string | null;
  /** Subscribed connections, this instance's own included; `null` unless delivered. */
  readonly receivers: number | null;
  /** Its place in the journal, or its cascade's last; `null` where none is kept. */
  readonly offset: string | null;
}

/** @internal */
export const NOTHING_PUBLISHED: PublishReceipt = {
  status: 'disabled',
  messageId: null,
  receivers: null,
  offset: null,
};

/** @internal */
export const DEFERRED: PublishReceipt = {
  ...NOTHING_PUBLISHED,
  status: 'deferred',
};

/** @internal */
export const QUEUED: PublishReceipt = {
  ...NOTHING_PUBLISHED,
  status: 'queued',
};

/**
 * One receipt for the parts of a batch that was split, and for its cascade.
 *
 * @param own how many of them are the batch's, which come first
 * @internal
 */
export function mergeReceipts(
  parts: readonly PublishReceipt[],
  own: number,
): PublishReceipt {
  const last = parts.at(-1) ?? NOTHING_PUBLISHED;
  const worst = parts.find(({ status }) => status !== 'delivered');
  const { messageId } = parts[own - 1] ?? last;
  return { ...(worst ?? last), messageId };
}
