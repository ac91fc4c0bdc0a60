import { isObject, isSafeJson } from './wire-rules.js';

/** Bounds of a trace: the three fields of W3C, and similar ones of other standards. */
const FIELDS = 8;
const FIELD_LENGTH = 8_192 + 64;

/** Whether a value is a trace, or a position: texts by name, few and short. @internal */
export function isNamedTexts(
  value: unknown,
): value is Readonly<Record<string, string>> {
  if (!isObject(value) || !isSafeJson(value)) return false;
  const fields = Object.entries(value);
  return (
    fields.length > 0 && fields.length <= FIELDS && fields.every(isShortText)
  );
}

function isShortText([name, text]: [string, unknown]): boolean {
  return typeof text === 'string' && name.length + text.length <= FIELD_LENGTH;
}
