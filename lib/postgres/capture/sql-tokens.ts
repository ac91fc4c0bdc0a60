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

/** What a token begins with, in the order in which they are tried. */
const TOKENS = new RegExp(
  [
    String.raw`(?<space>\s+|--[^\n]*)`,
    String.raw`(?<comment>/\*)`,
    String.raw`(?<escaped>[eE]'(?:[^'\\]|''|\\[^])*'|[uU]&'(?:[^']|'')*')`,
    String.raw`(?<text>'(?:[^']|'')*')`,
    String.raw`(?<unicode>[uU]&"(?:[^"]|"")*")`,
    String.raw`(?<name>"(?:[^"]|"")*")`,
    String.raw`(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)`,
    String.raw`\$(?<parameter>\d+)`,
    String.raw`(?<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)`,
    String.raw`(?<word>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<sign>::|[^])`,
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
    TOKENS.lastIndex = at;
    const groups = TOKENS.exec(sql)!.groups!;
    at = TOKENS.lastIndex;
    if (groups['comment'] !== undefined) at = endOfComment(sql, at);
    else if (groups['dollar'] !== undefined) {
      const end = sql.indexOf(groups['dollar'], at);
      const close = end < 0 ? sql.length : end;
      tokens.push({ kind: 'text', text: sql.slice(at, close) });
      at = close + groups['dollar'].length;
    } else if (groups['space'] === undefined) tokens.push(tokenOf(groups));
  }
  return tokens;
}

function tokenOf(groups: Record<string, string | undefined>): SqlToken {
  const { text, name, unicode, parameter, number, word, sign } = groups;
  if (word !== undefined) return { kind: 'word', text: word.toLowerCase() };
  if (name !== undefined) {
    return { kind: 'name', text: name.slice(1, -1).replaceAll('""', '"') };
  }
  if (unicode !== undefined) return { kind: 'any-name', text: unicode };
  if (parameter !== undefined) return { kind: 'parameter', text: parameter };
  if (number !== undefined) return { kind: 'number', text: number };
  if (sign !== undefined) return { kind: 'sign', text: sign };
  if (text === undefined) return { kind: 'text', text: null };
  return { kind: 'text', text: text.slice(1, -1).replaceAll("''", "'") };
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
