import { describe, expect, it } from 'vitest';
import { formatLsn, parseLsn } from '../../lib/message/index.js';
import { MalformedWalError } from '../../lib/postgres/wal/malformed-wal.error.js';
import {
  decodeFrame,
  encodeStatus,
} from '../../lib/postgres/wal/replication-frame.js';

describe('replication frames', () => {
  it('reads data and keepalives', () => {
    const data = Buffer.alloc(25 + 3, 0);
    data.write('w', 0);
    data.writeBigUInt64BE(5n, 9);
    data.write('abc', 25);
    expect(decodeFrame(data)).toEqual({
      kind: 'data',
      walEnd: 5n,
      content: Buffer.from('abc'),
    });
    const keepalive = Buffer.alloc(18, 0);
    keepalive.write('k', 0);
    keepalive.writeBigUInt64BE(6n, 1);
    keepalive.writeUInt8(1, 17);
    expect(decodeFrame(keepalive)).toEqual({
      kind: 'keepalive',
      walEnd: 6n,
      isUrgent: true,
    });
    expect(() => decodeFrame(Buffer.from('x'))).toThrow(MalformedWalError);
    expect(() => decodeFrame(keepalive.subarray(0, 17))).toThrow(
      MalformedWalError,
    );
  });

  it('acknowledges one position as written, flushed and applied', () => {
    const bytes = encodeStatus(0x1234n, true);
    expect(bytes.toString('latin1', 0, 1)).toBe('d');
    expect(bytes.readInt32BE(1)).toBe(bytes.length - 1);
    expect(bytes.toString('latin1', 5, 6)).toBe('r');
    for (const at of [6, 14, 22]) {
      expect(bytes.readBigUInt64BE(at)).toBe(0x1234n);
    }
    expect(bytes.readUInt8(38)).toBe(1);
  });

  it('writes positions as PostgreSQL does', () => {
    expect(formatLsn(0x16_b374_d848n)).toBe('16/B374D848');
    expect(parseLsn('16/B374D848')).toBe(0x16_b374_d848n);
    expect(formatLsn(0x1_0000_00ffn)).toBe('1/FF');
    expect(parseLsn('1/FF')).toBe(0x1_0000_00ffn);
    expect(parseLsn('none')).toBeNull();
  });
});
