import { OutgoingMessage } from 'node:http';
import { Stream, type Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';

/**
 * A stream of Node's, or the one in a `StreamableFile`; `null` for others. The
 * server's response is none: it is sent when the handler has returned.
 *
 * @internal
 */
export function streamOf(value: unknown): Readable | null {
  if (value instanceof StreamableFile) return value.getStream();
  return value instanceof Stream && !(value instanceof OutgoingMessage)
    ? (value as Readable)
    : null;
}

/** Whether work goes on while somebody iterates. @internal */
export function isIteration(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    (typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] ===
      'function' ||
      isGenerator(value))
  );
}

/** Whether a generator function returned it: nothing of its body has run. @internal */
export function isGenerator(value: object): boolean {
  return /^\[object (?:Async)?Generator\]$/.test(
    Object.prototype.toString.call(value),
  );
}
