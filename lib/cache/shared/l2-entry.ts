import { isOffset } from '../../message/index.js';
import type { EntrySigner } from '../../signing/index.js';
import { NO_DEPENDENCIES, parseDependencies } from '../dependencies.js';

/** Kinds of values: those with bytes, and those that do not exist. @internal */
export const KIND = { value: 'v', null: 'n', undefined: 'u' } as const;

/** @internal */
export type Kind = (typeof KIND)[keyof typeof KIND];

const KINDS: readonly string[] = Object.values(KIND);
/** Begins the line with the dependencies of an entry that has any. */
const DEPENDENCIES = 'd';

/** The parts of an entry of the second tier. @internal */
export interface L2Entry {
  /** Journal offset at which its load began. */
  readonly offset: string;
  /** Cache keys and families. */
  readonly dependencies: readonly string[];
  readonly kind: Kind;
  /** The serialized value; empty for a value that does not exist. */
  readonly bytes: Buffer;
}

/** Signs the content of an entry, and verifies it. @internal */
export type ContentSigner = Pick<EntrySigner, 'sign' | 'open'>;

/**
 * An entry as it is stored in Redis: a line with the offset, a line with the signature
 * where entries are signed, a line with the dependencies if there are any, the kind in
 * one character, and the value's bytes.
 *
 * @param name its name in Redis
 * @internal
 */
export function formatEntry(
  { offset, dependencies, kind, bytes }: L2Entry,
  name = '',
  signer: ContentSigner | null = null,
): Buffer {
  const line =
    dependencies.length === 0
      ? ''
      : `${DEPENDENCIES}${JSON.stringify(dependencies)}\n`;
  if (signer === null) {
    return Buffer.concat([Buffer.from(`${offset}\n${line}${kind}`), bytes]);
  }
  const content = Buffer.concat([Buffer.from(line + kind), bytes]);
  return Buffer.concat([
    Buffer.from(`${offset}\n`),
    signer.sign(name, offset, content),
  ]);
}

/**
 * @returns `null` for bytes that no version of this library has written, or that
 * cannot be verified
 * @internal
 */
export function parseEntry(
  stored: Buffer,
  name = '',
  signer: ContentSigner | null = null,
): L2Entry | null {
  const end = stored.indexOf('\n');
  const offset = stored.toString('latin1', 0, Math.max(end, 0));
  if (!isOffset(offset)) return null;
  const signed = stored.subarray(end + 1);
  const entry = signer === null ? signed : signer.open(name, offset, signed);
  if (entry === null) return null;
  let start = 0;
  let dependencies: readonly string[] | null = NO_DEPENDENCIES;
  if (entry.toString('latin1', start, start + 1) === DEPENDENCIES) {
    const lineEnd = entry.indexOf('\n', start);
    dependencies = parseDependencies(
      entry.toString('utf8', start + 1, lineEnd),
    );
    start = lineEnd + 1;
  }
  const kind = entry.toString('latin1', start, start + 1);
  if (dependencies === null || !isKind(kind)) return null;
  return { offset, dependencies, kind, bytes: entry.subarray(start + 1) };
}

function isKind(text: string): text is Kind {
  return KINDS.includes(text);
}
