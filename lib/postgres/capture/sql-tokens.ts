/** A part of an SQL text. @internal */
export type SqlToken =
  /** A keyword or a name without quotes, in lower case. */
  | { readonly kind: 'word'; readonly text: string }
  /** A name in double quotes. */
  | { readonly kind: 'name'; readonly text: string }
  /** A name that PostgreSQL reads in another way than this reader: it may be any. */
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
    String.raw`\s+|--[^\n\r]*|/\*`,
    // Texts with escapes, which may go on in another line, and texts.
    String.raw`[eE]'[^'\\]*(?:(?:''|\\[^]|'\s*[\n\r]\s*')[^'\\]*)*'`,
    String.raw`(?:[uU]&)?'[^']*(?:''[^']*)*'`,
    String.raw`(?:[uU]&)?"[^"]*(?:""[^"]*)*"`,
    // The beginning of a text in dollars; a parameter.
    String.raw`\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$|\$\d+`,
    String.raw`(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`,
    String.raw`[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*`,
    '::|[^]',
  ].join('|'),
  'y',
);

/** Bytes of the longest name; PostgreSQL cuts off the rest. */
const LONGEST_NAME = 63;

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
    const name = text.slice(1, -1).replaceAll('""', '"');
    return { kind: isLong(name) ? 'any-name' : 'name', text: name };
  }
  if (first === '$' && text.length > 1) {
    return { kind: 'parameter', text: text.slice(1) };
  }
  if (/^\.?\d/.test(text)) return { kind: 'number', text };
  // Words have no quotes, so that these are texts and names with escapes.
  if (text.length > 1 && last === "'") return { kind: 'text', text: null };
  if (text.length > 1 && last === '"') return { kind: 'any-name', text };
  if (!/^[A-Za-z_\u0080-\uffff]/.test(text)) return { kind: 'sign', text };
  const word = text.toLowerCase();
  // Whether a capital letter beyond ASCII is made small depends on the database.
  const isPlain = word === text.replaceAll(/[A-Z]/g, (it) => it.toLowerCase());
  return { kind: isPlain && !isLong(word) ? 'word' : 'any-name', text: word };
}

function isLong(name: string): boolean {
  return Buffer.byteLength(name) > LONGEST_NAME;
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
  // Blocks of a function's body, whose statements are part of its definition.
  let depth = 0;
  tokens.forEach((token, at) => {
    if (isSign(token, ';') && depth === 0) statements.push([]);
    else statements.at(-1)!.push(token);
    const isBody = isWord(token, 'begin') && isWord(tokens[at + 1], 'atomic');
    if (isBody || (depth > 0 && isWord(token, 'case'))) depth++;
    else if (depth > 0 && isWord(token, 'end')) depth--;
  });
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
