import { BadRequestException } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';

/** Levels of the deepest body of any controller, with room to spare. */
const DEEPEST = 10;

/** A request whose body was parsed. */
export interface ParsedRequest extends IncomingMessage {
  readonly body?: unknown;
  readonly originalUrl: string;
}

/**
 * Whether PostgreSQL can store all text of a request: U+0000 and halves of surrogate
 * pairs have no place there.
 *
 * @throws BadRequestException for other text in the path, the query or the body
 */
export function checkText({ originalUrl, body }: ParsedRequest): void {
  if (!originalUrl.includes('%00') && isStorable(body)) return;
  throw new BadRequestException(
    `No path, query or body may have the character U+0000 or half of a surrogate pair, and no body more than ${DEEPEST} levels.`,
  );
}

/** Level by level, without recursion: a client decides how deep its JSON is. */
function isStorable(body: unknown): boolean {
  let level = [body];
  for (let depth = 0; depth <= DEEPEST; depth++) {
    if (level.some((value) => typeof value === 'string' && !isText(value))) {
      return false;
    }
    level = level.flatMap(partsOf);
    if (level.length === 0) return true;
  }
  return false;
}

function isText(value: string): boolean {
  // In this mode of expressions a whole pair is no surrogate.
  return !/[\0\p{Surrogate}]/u.test(value);
}

function partsOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).flat()
    : [];
}
