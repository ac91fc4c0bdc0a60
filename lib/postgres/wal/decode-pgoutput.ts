import { isUtf8 } from 'node:buffer';
import type { Relation, RelationColumn } from '../mapping/relation.js';
import { ByteReader } from './byte-reader.js';
import type { Lsn } from '../../message/index.js';
import { MalformedWalError } from './malformed-wal.error.js';
import { Tuple } from './tuple.js';

/** An old row: whole, or its replica identity only. @internal */
export interface OldRow {
  readonly tuple: Tuple;
  readonly isWhole: boolean;
}

/** Written by `pg_logical_emit_message()`. @internal */
export interface LogicalMessage {
  readonly kind: 'message';
  readonly transactional: boolean;
  readonly prefix: string;
  /** `null` if it is no UTF-8: a database of another encoding does not convert it. */
  readonly content: string | null;
}

/** A message of pgoutput, protocol version 1. @internal */
export type WalMessage =
  | { readonly kind: 'begin'; readonly xid: number }
  | {
      readonly kind: 'commit';
      /** The beginning of the commit's record, and its end. */
      readonly start: Lsn;
      readonly end: Lsn;
      /** Microseconds since 2000. */
      readonly time: bigint;
    }
  | Relation
  | { readonly kind: 'insert'; readonly oid: number; readonly row: Tuple }
  | {
      readonly kind: 'update';
      readonly oid: number;
      /** `null` where the replica identity has not changed. */
      readonly old: OldRow | null;
      readonly row: Tuple;
    }
  | { readonly kind: 'delete'; readonly oid: number; readonly old: OldRow }
  | { readonly kind: 'truncate'; readonly oids: readonly number[] }
  | LogicalMessage
  | { readonly kind: 'ignored' };

const IGNORED: WalMessage = { kind: 'ignored' };

/**
 * Decodes one message of pgoutput, protocol version 1, in text format. Its rows are
 * valid as long as the bytes are.
 *
 * @throws MalformedWalError for anything else
 * @internal
 */
export function decodePgoutput(bytes: Buffer): WalMessage {
  const reader = new ByteReader(bytes);
  const message = decode(String.fromCharCode(reader.int8()), reader);
  if (message !== IGNORED) reader.end();
  return message;
}

function decode(type: string, reader: ByteReader): WalMessage {
  switch (type) {
    case 'B':
      // The commit's position and time.
      reader.skip(16);
      return { kind: 'begin', xid: reader.uint32() };
    case 'C': {
      // Flags.
      reader.skip(1);
      const [start, end] = [reader.lsn(), reader.lsn()];
      return { kind: 'commit', start, end, time: reader.lsn() };
    }
    case 'R':
      return relation(reader);
    case 'I':
      return { kind: 'insert', oid: reader.uint32(), row: newRow(reader) };
    case 'U':
      return update(reader);
    case 'D': {
      const oid = reader.uint32();
      return { kind: 'delete', oid, old: oldRow(reader.int8(), reader) };
    }
    case 'T':
      return truncate(reader);
    case 'M':
      return logicalMessage(reader);
    case 'O':
    case 'Y':
      return IGNORED;
    default:
      throw new MalformedWalError('a message of an unknown type');
  }
}

function relation(reader: ByteReader): Relation {
  const oid = reader.uint32();
  const schema = reader.text();
  const table = reader.text();
  const identity = String.fromCharCode(reader.int8());
  const columns: RelationColumn[] = [];
  for (let left = reader.count16(); left > 0; left--) {
    const isIdentity = (reader.int8() & 1) === 1;
    const name = reader.text();
    const [type, modifier] = [reader.uint32(), reader.uint32()];
    columns.push({ name, type, modifier, isIdentity });
  }
  const name = `${schema === '' ? 'pg_catalog' : schema}.${table}`;
  return { kind: 'relation', oid, name, identity, columns };
}

function update(reader: ByteReader): WalMessage {
  const oid = reader.uint32();
  const first = reader.int8();
  if (first === NEW) {
    return { kind: 'update', oid, old: null, row: Tuple.read(reader) };
  }
  const old = oldRow(first, reader);
  return { kind: 'update', oid, old, row: newRow(reader) };
}

const NEW = 0x4e;
const KEY = 0x4b;
const OLD = 0x4f;

function newRow(reader: ByteReader): Tuple {
  if (reader.int8() !== NEW) throw new MalformedWalError('no new row');
  return Tuple.read(reader);
}

function oldRow(type: number, reader: ByteReader): OldRow {
  if (type !== KEY && type !== OLD) throw new MalformedWalError('no old row');
  return { tuple: Tuple.read(reader), isWhole: type === OLD };
}

function truncate(reader: ByteReader): WalMessage {
  const count = reader.count32();
  // CASCADE and RESTART IDENTITY.
  reader.skip(1);
  const oids: number[] = [];
  for (let left = count; left > 0; left--) oids.push(reader.uint32());
  return { kind: 'truncate', oids };
}

function logicalMessage(reader: ByteReader): WalMessage {
  const transactional = (reader.int8() & 1) === 1;
  reader.lsn();
  const prefix = reader.text();
  const length = reader.count32();
  const from = reader.at;
  reader.skip(length);
  const to = reader.at;
  return {
    kind: 'message',
    transactional,
    prefix,
    // Other programs write messages as well, of up to a gigabyte.
    get content() {
      const bytes = reader.bytes.subarray(from, to);
      return isUtf8(bytes) ? bytes.toString('utf8') : null;
    },
  };
}
