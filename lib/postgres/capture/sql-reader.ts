import { isSign, isWord, type SqlToken } from './sql-tokens.js';

/** A table as a text names it. @internal */
export interface SqlTable {
  /** `null` where the search path decides. */
  readonly schema: string | null;
  readonly name: string;
}

/**
 * Reads the tokens of a statement one after the other.
 *
 * @internal
 */
export class SqlReader {
  #at = 0;

  constructor(private readonly tokens: readonly SqlToken[]) {}

  get isAtEnd(): boolean {
    return this.#at >= this.tokens.length;
  }

  /** Passes words in this order, if they come next. */
  passWords(...texts: readonly string[]): boolean {
    const isNext = texts.every((text, index) =>
      isWord(this.tokens[this.#at + index], text),
    );
    if (isNext) this.#at += texts.length;
    return isNext;
  }

  passSign(text: string): boolean {
    const isNext = isSign(this.tokens[this.#at], text);
    if (isNext) this.#at++;
    return isNext;
  }

  /** A name, unless the next token is none or one of the words. */
  name(...not: readonly string[]): string | null {
    const token = this.tokens[this.#at];
    const isName =
      token?.kind === 'name' ||
      (token?.kind === 'word' && !not.includes(token.text));
    if (!isName) return null;
    this.#at++;
    return token.text;
  }

  table(): SqlTable | null {
    const first = this.name();
    if (first === null || !this.passSign('.')) {
      return first === null ? null : { schema: null, name: first };
    }
    const second = this.name();
    // The name of the database may come first.
    return second === null || this.passSign('.')
      ? null
      : { schema: first, name: second };
  }

  /** The tokens between two parentheses, which begin here; `null` if they do not. */
  group(): SqlToken[] | null {
    if (!this.passSign('(')) return null;
    const from = this.#at;
    this.#skipGroup();
    return this.tokens.slice(from, this.#at - 1);
  }

  /** The tokens up to one of the words, or the end, groups as a whole. */
  until(...words: readonly string[]): SqlToken[] {
    const from = this.#at;
    while (!this.isAtEnd && !isWord(this.tokens[this.#at], ...words)) {
      // The next word is an operator's, IS DISTINCT FROM.
      if (isWord(this.tokens[this.#at], 'distinct')) this.#at++;
      this.#at++;
      if (isSign(this.tokens[this.#at - 1], '(')) this.#skipGroup();
    }
    return this.tokens.slice(from, this.#at);
  }

  #skipGroup(): void {
    for (let depth = 1; depth > 0 && !this.isAtEnd; this.#at++) {
      if (isSign(this.tokens[this.#at], '(')) depth++;
      else if (isSign(this.tokens[this.#at], ')')) depth--;
    }
  }
}

/** Splits tokens at a separator, groups as a whole. @internal */
export function split(
  tokens: readonly SqlToken[],
  isSeparator: (token: SqlToken) => boolean,
): SqlToken[][] {
  const parts: SqlToken[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (isSign(token, '(') || isSign(token, '[')) depth++;
    else if (isSign(token, ')') || isSign(token, ']')) depth--;
    if (depth === 0 && isSeparator(token)) parts.push([]);
    else parts.at(-1)!.push(token);
  }
  return parts;
}

/** @internal */
export function splitList(tokens: readonly SqlToken[]): SqlToken[][] {
  return split(tokens, (token) => isSign(token, ','));
}

/** The column that tokens name, with or without its table; `null` if they do not. @internal */
export function columnIn(tokens: readonly SqlToken[]): string | null {
  const isColumn =
    tokens.length % 2 === 1 &&
    tokens.length <= 5 &&
    tokens.every((token, index) =>
      index % 2 === 1
        ? isSign(token, '.')
        : token.kind === 'word' || token.kind === 'name',
    );
  // OLD and NEW of RETURNING are two rows of the same columns.
  return isColumn && !isWord(tokens[0], 'old', 'new')
    ? tokens.at(-1)!.text
    : null;
}
