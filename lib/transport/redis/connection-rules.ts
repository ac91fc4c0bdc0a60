import { isClient } from './redis-connection.js';
import { areCredentials } from './redis-credentials.js';

/** Advice for a connection option that names no server. @internal */
export const CONNECTION_ADVICE =
  'Give a redis: or rediss: URL (with %25 for a % in its password), ioredis options (host, port, path, or sentinels and name), { cluster: { nodes } }, or a Redis or Cluster instance.';

const REDIS_URL = /^rediss?:\/\//;

/**
 * Whether a value names a server. ioredis takes any value, and connects to localhost.
 *
 * @internal
 */
export function isConnection(value: unknown): boolean {
  if (typeof value === 'string') {
    return REDIS_URL.test(value) && isReadableUrl(value);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return false;
  }
  if (isClient(value)) return true;
  if (!('cluster' in value)) return isAddress(value) && areCredentials(value);
  const { nodes, options } = (value.cluster ?? {}) as {
    nodes?: unknown;
    options?: { redisOptions?: object } | null;
  };
  return (
    Array.isArray(nodes) &&
    nodes.length > 0 &&
    nodes.every(isNode) &&
    areCredentials(options?.redisOptions ?? {})
  );
}

/** ioredis throws an error that names no option for any other URL. */
function isReadableUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  try {
    for (const part of [username, password]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

const HIGHEST_PORT = 65_535;

/** The options of ioredis that name a server, each with its check. */
const ADDRESS: Record<
  string,
  (value: unknown, options: { readonly name?: unknown }) => boolean
> = {
  host: isName,
  path: isName,
  port: (value) => /^\d+$/.test(String(value)) && Number(value) <= HIGHEST_PORT,
  sentinels: (value, { name }) =>
    Array.isArray(value) && value.length > 0 && isName(name),
  Connector: (value) => typeof value === 'function',
};

/**
 * Without an address, as in `{ url }`, a `URL`, or a client of another library,
 * ioredis connects to 127.0.0.1 and reports nothing.
 */
function isAddress(options: object): boolean {
  // Own properties only: ioredis copies no others.
  const given = Object.entries(options).filter(
    ([name, value]) =>
      Object.hasOwn(ADDRESS, name) && value !== undefined && value !== null,
  );
  return (
    given.length > 0 &&
    given.every(([name, value]) => ADDRESS[name]?.(value, options))
  );
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function isNode(node: unknown): boolean {
  if (typeof node !== 'string') {
    return typeof node === 'number' || (typeof node === 'object' && !!node);
  }
  return isReadableUrl(REDIS_URL.test(node) ? node : `redis://${node}`);
}
