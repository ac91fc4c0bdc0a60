const PLAIN = /^[ !#-[\]-~]*$/;

/** A text as JSON. @internal */
export function encodeText(text: string | null): string {
  if (text === null) return 'null';
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
