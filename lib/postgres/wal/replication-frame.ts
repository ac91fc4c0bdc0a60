import { ByteReader } from './byte-reader.js';
import type { Lsn } from '../../message/index.js';
import { MalformedWalError } from './malformed-wal.error.js';

/** A frame of the replication stream. @internal */
export type ReplicationFrame =
  | {
      readonly kind: 'data';
      /** The end of the server's log, as far as it was sent. */
      readonly walEnd: Lsn;
      readonly content: Buffer;
    }
  | {
      readonly kind: 'keepalive';
      /** Everything that was committed up to here was sent before. */
      readonly walEnd: Lsn;
      /** Whether the server ends the connection unless it is answered. */
      readonly isUrgent: boolean;
    };

const DATA = 0x77;
const KEEPALIVE = 0x6b;

/** @throws MalformedWalError @internal */
export function decodeFrame(bytes: Buffer): ReplicationFrame {
  const reader = new ByteReader(bytes);
  const type = reader.int8();
  if (type === DATA) {
    reader.skip(8);
    const walEnd = reader.lsn();
    reader.skip(8);
    return { kind: 'data', walEnd, content: bytes.subarray(reader.at) };
  }
  if (type !== KEEPALIVE) throw new MalformedWalError('an unknown frame');
  const walEnd = reader.lsn();
  reader.skip(8);
  const isUrgent = reader.int8() === 1;
  reader.end();
  return { kind: 'keepalive', walEnd, isUrgent };
}

/** Milliseconds from 1970 to 2000, where PostgreSQL's clock begins. */
const CLOCK_START_MS = 946_684_800_000;

/** @param time microseconds since 2000 @returns milliseconds since 1970 @internal */
export function millisecondsOf(time: bigint): number {
  return Number(time) / 1_000 + CLOCK_START_MS;
}

/**
 * A standby status update, framed as CopyData.
 *
 * @param handled everything that was committed up to here is announced
 * @param wantsReply whether the server is to answer at once
 * @internal
 */
export function encodeStatus(handled: Lsn, wantsReply: boolean): Buffer {
  const bytes = Buffer.alloc(5 + 34);
  bytes.write('d', 0, 'latin1');
  bytes.writeInt32BE(4 + 34, 1);
  bytes.write('r', 5, 'latin1');
  // Written, flushed, applied: nothing is acknowledged that was only received.
  for (const at of [6, 14, 22]) bytes.writeBigUInt64BE(handled, at);
  const microseconds = BigInt(Date.now() - CLOCK_START_MS) * 1_000n;
  bytes.writeBigInt64BE(microseconds, 30);
  bytes.writeUInt8(wantsReply ? 1 : 0, 38);
  return bytes;
}
