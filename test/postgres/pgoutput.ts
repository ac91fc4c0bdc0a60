/** Messages of pgoutput as a server writes them, for tests of the decoder. */

/** A value of a column: text, NULL, or large and not sent. */
export type Value = string | null | undefined;

export interface Column {
  readonly name: string;
  readonly type?: number;
  readonly isIdentity?: boolean;
}

const int8 = (value: number) => Buffer.from([value]);
const int16 = (value: number) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const int64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const text = (value: string) => Buffer.from(`${value}\0`);
const letter = (value: string) => Buffer.from(value);

export function begin(xid: number): Buffer {
  return Buffer.concat([letter('B'), int64(1n), int64(2n), int32(xid)]);
}

export function commit(end: bigint): Buffer {
  const positions = [int64(end - 1n), int64(end), int64(3n)];
  return Buffer.concat([letter('C'), int8(0), ...positions]);
}

export function relation(
  oid: number,
  name: string,
  columns: readonly Column[],
  identity = 'd',
): Buffer {
  const [schema = '', table = ''] = name.split('.');
  return Buffer.concat([
    letter('R'),
    int32(oid),
    text(schema),
    text(table),
    letter(identity),
    int16(columns.length),
    ...columns.flatMap(({ name: column, type = 25, isIdentity = false }) => [
      int8(isIdentity ? 1 : 0),
      text(column),
      int32(type),
      int32(-1),
    ]),
  ]);
}

function tuple(values: readonly Value[]): Buffer {
  return Buffer.concat([
    int16(values.length),
    ...values.map((value) => {
      if (value === null) return letter('n');
      if (value === undefined) return letter('u');
      const bytes = Buffer.from(value);
      return Buffer.concat([letter('t'), int32(bytes.length), bytes]);
    }),
  ]);
}

export function insert(oid: number, row: readonly Value[]): Buffer {
  return Buffer.concat([letter('I'), int32(oid), letter('N'), tuple(row)]);
}

/** @param kind `K` for the replica identity, `O` for the whole row */
export function update(
  oid: number,
  row: readonly Value[],
  old: readonly Value[] | null = null,
  kind: 'K' | 'O' = 'K',
): Buffer {
  const before = old === null ? [] : [letter(kind), tuple(old)];
  const parts = [int32(oid), ...before, letter('N'), tuple(row)];
  return Buffer.concat([letter('U'), ...parts]);
}

export function remove(
  oid: number,
  old: readonly Value[],
  kind: 'K' | 'O' = 'K',
): Buffer {
  return Buffer.concat([letter('D'), int32(oid), letter(kind), tuple(old)]);
}

export function truncate(...oids: number[]): Buffer {
  const count = int32(oids.length);
  return Buffer.concat([letter('T'), count, int8(0), ...oids.map(int32)]);
}

export function logicalMessage(prefix: string, content: string): Buffer {
  const bytes = Buffer.from(content);
  const head = [letter('M'), int8(1), int64(9n), text(prefix)];
  return Buffer.concat([...head, int32(bytes.length), bytes]);
}

export function origin(name: string): Buffer {
  return Buffer.concat([letter('O'), int64(4n), text(name)]);
}
