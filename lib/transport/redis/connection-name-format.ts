import type { Introduction } from '../invalidation.transport.js';

const PREFIX = 'cache-invalidation';
/** Bytes of each encoded part of a name: Redis keeps a name for every connection. */
const LONGEST_PART = 256;
/** Bytes of all types together. */
const LONGEST_TYPES = 2_048;
const ALL_TYPES = '*';
const TOO_MANY_TYPES = '?';

/** The purpose of a connection. @internal */
export type ConnectionRole = 'commands' | 'subscription';

/** A connection's name, as `CLIENT LIST` shows it. @internal */
export interface NamedConnection {
  readonly role: string;
  readonly serviceName: string;
  readonly version: string;
  readonly origin: string;
  /** Entity types that the instance handles; `null` for all, `undefined` if they are too many to name. */
  readonly types: readonly string[] | null | undefined;
}

/**
 * The name of a connection in Redis. Without the right to `CLIENT SETNAME` the
 * connection stays unnamed.
 *
 * @internal
 */
export function connectionName(
  role: ConnectionRole,
  channel: string,
  { serviceName, version, origin, types }: Introduction,
): string {
  return [
    PREFIX,
    role,
    ...[channel, serviceName, version, origin].map(part),
    types === null ? ALL_TYPES : listOf(types),
  ].join(':');
}

/**
 * @returns `null` for a name that this library did not give, or gave on another
 * channel
 * @internal
 */
export function readConnectionName(
  name: string,
  channel: string,
): NamedConnection | null {
  const [prefix, role, on, ...parts] = name.split(':');
  const [serviceName, version, origin, types] = parts;
  if (prefix !== PREFIX || role === undefined || types === undefined) {
    return null;
  }
  if (on !== part(channel)) return null;
  return {
    role,
    serviceName: decode(serviceName!),
    version: decode(version!),
    origin: decode(origin!),
    types: typesFrom(types),
  };
}

function listOf(types: readonly string[]): string {
  const list = types.map(encode).join(',');
  return list.length > LONGEST_TYPES ? TOO_MANY_TYPES : list;
}

function typesFrom(list: string): NamedConnection['types'] {
  if (list === ALL_TYPES) return null;
  if (list === TOO_MANY_TYPES) return undefined;
  return list === '' ? [] : list.split(',').map(decode);
}

function part(text: string): string {
  return encode(text).slice(0, LONGEST_PART);
}

/** Names in Redis have no spaces, and a lone surrogate has no UTF-8. */
function encode(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString());
}

/** Any client may have given the name, and a long one is cut off. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
