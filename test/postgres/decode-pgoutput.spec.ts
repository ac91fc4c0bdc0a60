import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePgoutput,
  type WalMessage,
} from '../../lib/postgres/wal/decode-pgoutput.js';
import { MalformedWalError } from '../../lib/postgres/wal/malformed-wal.error.js';
import type { Tuple } from '../../lib/postgres/wal/tuple.js';
import * as pgoutput from './pgoutput.js';

const value = fc.option(fc.option(fc.string({ unit: 'grapheme' })), {
  nil: undefined,
});
const row = fc.array(value, { maxLength: 20 });
const oid = fc.nat();
const name = fc.stringMatching(/^[^\0.]+$/);
const column = fc.record({
  name,
  type: fc.nat(),
  isIdentity: fc.boolean(),
});
const message = fc.oneof(
  fc.nat().map(pgoutput.begin),
  fc.bigInt(1n, 2n ** 63n).map(pgoutput.commit),
  fc
    .tuple(oid, fc.array(column))
    .map(([id, columns]) => pgoutput.relation(id, 'public.t', columns)),
  fc.tuple(oid, row).map(([id, values]) => pgoutput.insert(id, values)),
  fc
    .tuple(oid, row, fc.option(row), fc.constantFrom('K', 'O'))
    .map(([id, values, old, kind]) => pgoutput.update(id, values, old, kind)),
  fc.tuple(oid, row).map(([id, values]) => pgoutput.remove(id, values)),
  fc.array(oid).map((oids) => pgoutput.truncate(...oids)),
  fc
    .tuple(name, fc.string())
    .map(([prefix, content]) => pgoutput.logicalMessage(prefix, content)),
);

function valuesOf(tuple: Tuple): unknown[] {
  return Array.from({ length: tuple.columns }, (_, index) => tuple.text(index));
}

/** Decodes, or tells that the bytes were refused. @throws any other error */
function attempt(bytes: Buffer): WalMessage | 'refused' {
  try {
    return decodePgoutput(bytes);
  } catch (error) {
    if (error instanceof MalformedWalError) return 'refused';
    throw error;
  }
}

describe('decodePgoutput', () => {
  it('reads back every row that is written', () => {
    fc.assert(
      fc.property(
        oid,
        row,
        row,
        fc.constantFrom('K', 'O'),
        (id, values, old, kind) => {
          const read = decodePgoutput(pgoutput.update(id, values, old, kind));
          if (read.kind !== 'update') throw new Error(read.kind);
          expect(read.oid).toBe(id);
          expect(valuesOf(read.row)).toEqual(values);
          expect(valuesOf(read.old!.tuple)).toEqual(old);
          expect(read.old!.isWhole).toBe(kind === 'O');
        },
      ),
    );
  });

  it('reads back every relation', () => {
    fc.assert(
      fc.property(
        oid,
        name,
        name,
        fc.array(column),
        (id, schema, table, columns) => {
          const read = decodePgoutput(
            pgoutput.relation(id, `${schema}.${table}`, columns, 'f'),
          );
          expect(read).toEqual({
            kind: 'relation',
            oid: id,
            name: `${schema}.${table}`,
            identity: 'f',
            columns: columns.map((each) => ({
              ...each,
              modifier: 0xffff_ffff,
            })),
          });
        },
      ),
    );
  });

  it('reads begin, commit, truncate and message', () => {
    expect(decodePgoutput(pgoutput.begin(0xffff_fff0))).toEqual({
      kind: 'begin',
      xid: 0xffff_fff0,
    });
    expect(decodePgoutput(pgoutput.commit(77n))).toEqual({
      kind: 'commit',
      start: 76n,
      end: 77n,
      time: 3n,
    });
    expect(decodePgoutput(pgoutput.truncate(1, 2))).toEqual({
      kind: 'truncate',
      oids: [1, 2],
    });
    expect(decodePgoutput(pgoutput.logicalMessage('a', 'ü'))).toEqual({
      kind: 'message',
      transactional: true,
      prefix: 'a',
      content: 'ü',
    });
    expect(decodePgoutput(pgoutput.origin('x'))).toEqual({ kind: 'ignored' });
  });

  it('refuses a message that is cut anywhere', () => {
    fc.assert(
      fc.property(
        message,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (bytes, share) => {
          const cut = bytes.subarray(0, Math.floor(share * bytes.length));
          expect(attempt(cut)).toBe('refused');
        },
      ),
    );
  });

  it('refuses bytes after the end of a message', () => {
    fc.assert(
      fc.property(message, fc.uint8Array({ minLength: 1 }), (bytes, more) => {
        expect(attempt(Buffer.concat([bytes, more]))).toBe('refused');
      }),
    );
  });

  it('throws nothing but its own error, whatever the bytes are', () => {
    fc.assert(
      fc.property(
        message,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), {
          minLength: 1,
          maxLength: 8,
        }),
        (bytes, changes) => {
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          expect(attempt(bytes)).toBeDefined();
        },
      ),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(attempt(Buffer.from(bytes))).toBeDefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('names none of the bytes in its error', () => {
    const bytes = Buffer.concat([
      pgoutput.insert(1, ['secret']),
      Buffer.from('secret'),
    ]);
    expect(() => decodePgoutput(bytes)).toThrow(
      expect.objectContaining({
        code: 'CACHE_INVALIDATION_MALFORMED_WAL',
        message: expect.not.stringContaining('secret'),
      }),
    );
  });
});
