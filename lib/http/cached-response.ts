import { types } from 'node:util';
import { hashOf, type HttpRequest } from './cached-route.js';

type HeaderValues = Readonly<
  Record<string, string | number | readonly string[] | undefined>
>;

/** A response of express or fastify. @internal */
export interface HttpResponse {
  readonly statusCode: number;
  readonly headersSent?: boolean;
  /** Of fastify. */
  readonly sent?: boolean;
  getHeaders(): HeaderValues;
}

/** @internal */
export interface CachedResponse {
  readonly body: unknown;
  /** Headers that the method has set. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `null` where the body cannot be compared. */
  readonly etag: string | null;
  /** Cache keys of its entities. */
  readonly keys: readonly string[];
}

/** A response before the method has run. @internal */
export interface ResponseBefore {
  readonly statusCode: number;
  readonly headers: HeaderValues;
}

/** @internal */
export function before(response: HttpResponse): ResponseBefore {
  const { statusCode } = response;
  return { statusCode, headers: { ...response.getHeaders() } };
}

/**
 * @param isVaried whether the application says what the response depends on
 * @returns `null` for one that is for this request only
 * @internal
 */
export function cachedResponse(
  body: unknown,
  response: HttpResponse,
  was: ResponseBefore,
  keys: readonly string[],
  isVaried: boolean,
): CachedResponse | null {
  const { statusCode } = response;
  if (response.headersSent === true || response.sent === true) return null;
  // Another status is set by the method, and would be lost.
  if (statusCode !== was.statusCode || statusCode < 200 || statusCode > 299) {
    return null;
  }
  if (body === undefined || body === null || isStream(body)) return null;
  const headers = response.getHeaders();
  if (headers['set-cookie'] !== undefined) return null;
  const caching = String(headers['cache-control'] ?? '').toLowerCase();
  if (caching.includes('no-store')) return null;
  if (!isVaried && caching.includes('private')) return null;
  if (!isVaried && headers['vary'] !== was.headers['vary']) return null;
  const added = Object.entries(headers)
    .filter(([name, value]) => value !== was.headers[name])
    .map(([name, value]) => [name, String(value)] as const);
  const own = headers['etag'];
  const etag = own === undefined ? etagOf(body) : String(own);
  return { body, headers: added, etag, keys };
}

/** Whether the client has this response already. @internal */
export function isKnown(
  { headers }: HttpRequest,
  { etag }: CachedResponse,
): boolean {
  const given = headers['if-none-match'];
  if (etag === null || given === undefined) return false;
  const tags = String(given)
    .split(',')
    .map((tag) => strong(tag.trim()));
  return tags.includes('*') || tags.includes(strong(etag));
}

function strong(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** Weak: serializers may write the same body differently. */
function etagOf(body: unknown): string | null {
  try {
    const content = types.isUint8Array(body) ? body : JSON.stringify(body);
    return `W/"${hashOf(content)}"`;
  } catch {
    return null;
  }
}

/** Read once, and gone: also a `StreamableFile`. */
function isStream(body: unknown): boolean {
  const { pipe, getStream } = Object(body) as Record<string, unknown>;
  return typeof pipe === 'function' || typeof getStream === 'function';
}
