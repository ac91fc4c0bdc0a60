import {
  decodeMessage,
  encodeMessage,
  entity,
  Instance,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import type { PublishReply } from '../../lib/transport/index.js';

const writer = new Instance('writer');

/** A message about the user with this id, in the form that a publisher sends. */
export function about(id: string | number, metadata: unknown = null): string {
  const invalidation = entity('User', String(id), { metadata });
  return encodeMessage(writer.stamp(invalidation), Infinity);
}

export function read(payload: string): InvalidationMessage {
  return decodeMessage(payload, Infinity);
}

/** Entity ids of the messages. */
export function idsOf(payloads: readonly string[]): (string | null)[] {
  return payloads.map((payload) => read(payload).entityId);
}

export function messageIdsOf(payloads: readonly string[]): string[] {
  return payloads.map((payload) => read(payload).messageId);
}

/** Number of receivers of each message. @throws the error of a refused message */
export function receiversOf(
  replies: readonly PublishReply[],
): (number | null)[] {
  return replies.map((reply) => taken(reply).receivers);
}

/** @throws the error of a refused message */
export function offsetsOf(replies: readonly PublishReply[]): string[] {
  return replies.map((reply) => taken(reply).offset ?? 'none');
}

function taken(reply: PublishReply) {
  if (reply instanceof Error) throw reply;
  return reply;
}

/** Links of a chain: each offset with its predecessor. */
export function linksOf(
  payloads: readonly string[],
): [string | null, string | null][] {
  return payloads.map((payload) => {
    const { previous, offset } = read(payload);
    return [previous, offset];
  });
}

/** The links of consecutive offsets. */
export function chain(
  first: string,
  offsets: readonly string[],
): [string, string][] {
  return offsets.map((offset, at) => [
    at === 0 ? first : offsets[at - 1]!,
    offset,
  ]);
}
