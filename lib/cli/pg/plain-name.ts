/** Whether a text fits in a line: a control character would end a comment of the SQL. @internal */
export function isPlain(text: string): boolean {
  return text !== '' && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text);
}

/** Whether a text is `schema.table`. @internal */
export function isTable(text: string): boolean {
  return /^[^.=]+\.[^.=]+$/.test(text) && isPlain(text);
}
