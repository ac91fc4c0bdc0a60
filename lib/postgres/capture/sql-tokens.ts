/** A part of an SQL text. @internal */
export type SqlToken =
  /** A keyword or a name without quotes, in lower case. */
  | { readonly kind: 'word'; readonly text: string }
  /** A name in double quotes. */
  | { readonly kind: 'name'; readonly text: string }
  /** A name whose escapes are not decoded: it may be any. */
  | { readonly kind: 'any-name'; readonly text: string }
  /** A text; `null` where its escapes are not decoded. */
  | { readonly kind: 'text'; readonly text: string | null }
  | { readonly kind: 'number'; readonly text: string }
  /** A parameter, by its place from 1 on. */
  | { readonly kind: 'parameter'; readonly text: string }
  | { readonly kind: 'sign'; readonly text: string };

/** A token, or what is between two, in the order in which they are tried. */
const TOKEN = new RegExp(
  [
    String.raw`\s+|--[^\n]*|/\*`,
    // Texts with escapes, and texts.
    String.raw`[eE]'(?:[^'\\]|''|\\[^])*'|[uU]&'(?:[^']|'')*'|'(?:[^']|'')*'`,
    String.raw`(?:[uU]&)?"(?:[^"]|"")*"`,
    // The beginning of a text in dollars; a parameter.
    String.raw`\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|\$\d+`,
    String.raw`(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`,
    String.raw`[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*`,
    '::|[^]',
  ].join('|'),
  'y',
);

/** The end of a comment, or the start of another one within it. */
const COMMENT = /\/\*|\*\//g;

/**
 * The tokens of an SQL text of PostgreSQL, without its comments. A text that PostgreSQL
 * would refuse has tokens as well, which mean nothing.
 *
 * @internal
 */
export function tokensOf(sql: string): SqlToken[] {
  const tokens: SqlToken[] = [];
  let at = 0;
  while (at < sql.length) {
    TOKEN.lastIndex = at;
    const [text] = TOKEN.exec(sql)!;
    at = TOKEN.lastIndex;
    if (text === '/*') at = endOfComment(sql, at);
    else if (text.length > 1 && text.startsWith('$') && text.endsWith('$')) {
      const end = sql.indexOf(text, at);
      const close = end < 0 ? sql.length : end;
      tokens.push({ kind: 'text', text: sql.slice(at, close) });
      at = close + text.length;
    } else if (text.trim() !== '' && !text.startsWith('--')) {
      tokens.push(tokenOf(text));
    }
  }
  return tokens;
}

function tokenOf(text: string): SqlToken {
  const [first] = text;
  const last = text.at(-1);
  if (first === "'" && text.length > 1) {
    return { kind: 'text', text: text.slice(1, -1).replaceAll("''", "'") };
  }
  if (first === '"' && text.length > 1) {
    return { kind: 'name', text: text.slice(1, -1).replaceAll('""', '"') };
  }
  if (first === '$' && text.length > 1) {
    return { kind: 'parameter', text: text.slice(1) };
  }
  if (/^\.?\d/.test(text)) return { kind: 'number', text };
  // Words have no quotes, so that these are texts and names with escapes.
  if (text.length > 1 && last === "'") return { kind: 'text', text: null };
  if (text.length > 1 && last === '"') return { kind: 'any-name', text };
  return /^[A-Za-z_\u0080-\uffff]/.test(text)
    ? { kind: 'word', text: text.toLowerCase() }
    : { kind: 'sign', text };
}

function endOfComment(sql: string, from: number): number {
  let depth = 1;
  let at = from;
  while (depth > 0) {
    COMMENT.lastIndex = at;
    const mark = COMMENT.exec(sql);
    if (mark === null) return sql.length;
    depth += mark[0] === '/*' ? 1 : -1;
    at = COMMENT.lastIndex;
  }
  return at;
}

/** The statements of a text, without the semicolons between them. @internal */
export function statementsIn(tokens: readonly SqlToken[]): SqlToken[][] {
  const statements: SqlToken[][] = [[]];
  for (const token of tokens) {
    if (isSign(token, ';')) statements.push([]);
    else statements.at(-1)!.push(token);
  }
  return statements.filter(({ length }) => length > 0);
}

/** @internal */
export function isSign(token: SqlToken | undefined, text: string): boolean {
  return token?.kind === 'sign' && token.text === text;
}

/** @internal */
export function isWord(
  token: SqlToken | undefined,
  ...texts: string[]
): boolean {
  return token?.kind === 'word' && texts.includes(token.text);
}
