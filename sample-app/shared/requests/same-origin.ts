import {
  ForbiddenException,
  UnsupportedMediaTypeException,
} from '@nestjs/common';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

const CHANGING: readonly string[] = ['POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * Whether a request that changes something may come from where it comes from. Pages
 * of other sites can send requests too, but a browser names their origin, and lets
 * none of them send JSON without asking first. Programs send no origin.
 *
 * @throws ForbiddenException if a page of another origin sent the request
 * @throws UnsupportedMediaTypeException if its content type is not JSON
 */
export function checkOrigin({ method = '', headers }: IncomingMessage): void {
  if (!CHANGING.includes(method)) return;
  if (!isSameOrigin(headers)) {
    throw new ForbiddenException(
      'A page of another origin may not change anything here. Use the page of this service.',
    );
  }
  if (!isJson(headers['content-type'])) {
    throw new UnsupportedMediaTypeException(
      'A request that changes something needs the content type application/json, with or without a body.',
    );
  }
}

function isSameOrigin({
  host,
  origin,
  'sec-fetch-site': site,
}: IncomingHttpHeaders): boolean {
  if (site !== undefined && site !== 'same-origin') return false;
  if (origin === undefined) return true;
  // The origin of a sandboxed page is the text `null`.
  return URL.canParse(origin) && new URL(origin).host === hostOf(host);
}

/** The host in the form of URLs, which leave out the default port. */
function hostOf(host = ''): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).host : '';
}

function isJson(type = ''): boolean {
  const [essence = ''] = type.split(';');
  return essence.trim().toLowerCase() === 'application/json';
}
