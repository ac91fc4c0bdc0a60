import { isSign, isWord, type SqlToken } from './sql-tokens.js';

/** Values of columns that are known. @internal */
export type KnownValues = ReadonlyMap<string, unknown>;

/** Types by the names that casts have for them, by OID. */
const CASTS: Readonly<Record<string, number>> = {
  uuid: 2950,
  text: 25,
  varchar: 1043,
  smallint: 21,
  integer: 23,
  int: 23,
  bigint: 20,
  int2: 21,
  int4: 23,
  int8: 20,
};

/**
 * The value that tokens stand for: a parameter or a literal.
 *
 * @returns `undefined` if they are another expression
 * @internal
 */
export function valueOf(
  tokens: readonly SqlToken[],
  parameters: readonly unknown[],
): unknown {
  const [first, second, third] = tokens;
  if (isSign(first, '-') && tokens.length === 2) {
    return second?.kind === 'number' ? integerOf(`-${second.text}`) : undefined;
  }
  if (tokens.length === 3 && isSign(second, '::')) {
    return castValue(valueOf(tokens.slice(0, 1), parameters), third);
  }
  if (first === undefined || tokens.length !== 1) return undefined;
  if (first.kind === 'parameter') return parameters[Number(first.text) - 1];
  if (first.kind === 'text') return first.text ?? undefined;
  if (first.kind === 'number') return integerOf(first.text);
  if (isWord(first, 'true', 'false')) return first.text === 'true';
  return isWord(first, 'null') ? null : undefined;
}

/**
 * A value after a cast, which may write it in another way.
 *
 * @returns `undefined` if it is not certain
 * @internal
 */
export function castValue(value: unknown, type: SqlToken | undefined): unknown {
  const oid = type?.kind === 'word' ? CASTS[type.text] : undefined;
  return oid === undefined ? undefined : storedText(value, oid, false);
}

function integerOf(text: string): bigint | undefined {
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

/** Types by OID. */
const TYPES: Readonly<Record<number, 'boolean' | 'integer' | 'text' | 'uuid'>> =
  {
    16: 'boolean',
    20: 'integer',
    21: 'integer',
    23: 'integer',
    25: 'text',
    1043: 'text',
    2950: 'uuid',
  };

/** Types whose values clients read as PostgreSQL writes them: char and numeric. */
const PLAIN = [1042, 1700];

/**
 * A value as PostgreSQL writes it.
 *
 * @param type the OID of its column's type
 * @param isStored whether PostgreSQL returned it; a value that was sent may be stored in
 * another form
 * @returns `undefined` if that is not certain
 * @internal
 */
export function storedText(
  value: unknown,
  type: number,
  isStored: boolean,
): string | null | undefined {
  if (value === null) return null;
  const text = isPrintable(value) ? String(value) : null;
  switch (TYPES[type]) {
    case 'boolean':
      return typeof value === 'boolean' ? (value ? 't' : 'f') : undefined;
    case 'integer':
      return text !== null && /^(?:0|-?[1-9]\d*)$/.test(text)
        ? text
        : undefined;
    case 'uuid':
      return text === null ? undefined : uuidOf(text);
    case 'text':
      return textOf(value, isStored);
    default:
      return isStored && typeof value === 'string' && PLAIN.includes(type)
        ? value
        : undefined;
  }
}

function isPrintable(value: unknown): value is string | number | bigint {
  // A larger number may have been rounded when it was read.
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'string' || typeof value === 'bigint';
}

function textOf(value: unknown, isStored: boolean): string | undefined {
  if (!isPrintable(value)) return undefined;
  const text = String(value);
  // `varchar(n)` drops spaces beyond its length.
  return isStored || !text.endsWith(' ') ? text : undefined;
}

function uuidOf(text: string): string | undefined {
  const isUuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text);
  return isUuid ? text.toLowerCase() : undefined;
}
