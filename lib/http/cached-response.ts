import { finished, type Writable } from 'node:stream';
import { types } from 'node:util';
import {
  hashOf,
  type CacheableRequest,
  type HttpRequest,
} from './cached-route.js';

/** Fields of `Vary` that say nothing of who asks: of CORS and of compression. */
const HARMLESS_VARY = new Set(['', 'origin', 'accept-encoding']);

type HeaderValues = Readonly<
  Record<string, string | number | readonly string[] | undefined>
>;

/** A response of express or fastify. @internal */
export interface HttpResponse {
  readonly statusCode: number;
  readonly headersSent?: boolean;
  /** Set by fastify. */
  readonly sent?: boolean;
  getHeaders(): HeaderValues;
  /** The response of Node, under the reply of fastify. */
  readonly raw?: RawResponse;
}

interface RawResponse extends Writable {
  writeHead(...args: unknown[]): unknown;
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
 * @param name name of the entry; part of the ETag, so that variants differ
 * @param isVaried whether the option `vary` is given
 * @returns `null` for a response that is for this request only
 * @internal
 */
export function cachedResponse(
  body: unknown,
  response: HttpResponse,
  was: ResponseBefore,
  { name, keys }: CacheableRequest,
  isVaried: boolean,
): CachedResponse | null {
  const { statusCode } = response;
  if (response.headersSent === true || response.sent === true) return null;
  // A status that the method has set would be lost.
  if (statusCode !== was.statusCode || statusCode < 200 || statusCode > 299) {
    return null;
  }
  if (body === undefined || body === null || isStream(body)) return null;
  const headers = response.getHeaders();
  if (headers['set-cookie'] !== undefined) return null;
  const caching = String(headers['cache-control'] ?? '').toLowerCase();
  if (caching.includes('no-store')) return null;
  if (!isVaried && caching.includes('private')) return null;
  if (!isVaried && !isHarmless(headers['vary'])) return null;
  const added = Object.entries(headers)
    .filter(([field, value]) => value !== was.headers[field])
    .map(([field, value]) => [field, String(value)] as const);
  const own = headers['etag'];
  const etag = own === undefined ? etagOf(name, body) : String(own);
  return { body, headers: added, etag, keys };
}

/**
 * Waits until the headers of a response leave: session middleware sets its cookie
 * with them.
 *
 * @returns whether the response has left and sets no cookie, so that others may get it
 * @internal
 */
export function leavesWithoutCookie(response: HttpResponse): Promise<boolean> {
  const raw = response.raw ?? (response as unknown as RawResponse);
  return new Promise((resolve) => {
    const writeHead = raw.writeHead.bind(raw);
    raw.writeHead = (...args) => {
      const result = writeHead(...args);
      resolve(setsNoCookie(response));
      return result;
    };
    // The client has gone, or uses HTTP/2, where `writeHead` is not called.
    finished(raw, (error) => resolve(!error && setsNoCookie(response)));
  });
}

function setsNoCookie(response: HttpResponse): boolean {
  return response.getHeaders()['set-cookie'] === undefined;
}

function isHarmless(vary: HeaderValues[string]): boolean {
  const fields = String(vary ?? '')
    .toLowerCase()
    .split(',');
  return fields.every((field) => HARMLESS_VARY.has(field.trim()));
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
function etagOf(name: string, body: unknown): string | null {
  try {
    const content = types.isUint8Array(body) ? body : JSON.stringify(body);
    return `W/"${hashOf(name + hashOf(content))}"`;
  } catch {
    return null;
  }
}

/** Read once, and gone: also a `StreamableFile`. */
function isStream(body: unknown): boolean {
  const { pipe, getStream } = Object(body) as Record<string, unknown>;
  return typeof pipe === 'function' || typeof getStream === 'function';
}
