/** Writes a name of PostgreSQL as SQL, as `quote_ident()` does. @internal */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Writes a text as SQL, as `quote_literal()` does. @internal */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  // A backslash means itself only in the standard's strings, which a session may switch off.
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
