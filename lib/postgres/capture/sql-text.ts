import { isSign, isWord, type SqlToken } from './sql-tokens.js';

/** First words of statements that change no row, unless another word says so. */
const READS =
  'select with values table show explain fetch move declare close set reset discard listen unlisten notify lock savepoint release deallocate analyze vacuum checkpoint comment grant revoke reindex cluster'.split(
    ' ',
  );
/** Words of a statement that changes rows, or runs one that is not in its text. */
const WRITES = 'insert update delete merge truncate call execute'.split(' ');
/** First words of statements whose rows are those of a text elsewhere. */
const RUNS = ['call', 'execute', 'do'];

const IS_READ = /^\s*(?:select|with|values|table|show)\b/i;
const MAY_WRITE =
  /\b(?:insert|update|delete|merge|truncate|call|execute)\b|;[^]*\S/i;
const LOCK = /\bfor (?:no key )?update\b/gi;

/** Whether a text only reads, as most do, told without its tokens. @internal */
export function isPlainRead(sql: string): boolean {
  return IS_READ.test(sql) && !MAY_WRITE.test(sql.replaceAll(LOCK, ''));
}

/**
 * The effect of a statement on the transaction, or on rows. `hidden`: rows change that the
 * text does not name.
 *
 * @internal
 */
export type SqlCommand =
  | 'begin'
  | 'commit'
  | 'commit-and-chain'
  | 'rollback'
  | 'rollback-and-chain'
  | 'write'
  | 'hidden'
  | 'definition'
  | 'read';

/** @internal */
export function commandOf(tokens: readonly SqlToken[]): SqlCommand {
  const [first, second] = tokens;
  if (isWord(first, 'begin', 'start')) return 'begin';
  if (isWord(first, 'commit', 'end', 'rollback', 'abort')) {
    const isCommit = isWord(first, 'commit', 'end');
    if (isWord(second, 'prepared')) return isCommit ? 'hidden' : 'read';
    const words = tokens.filter(({ kind }) => kind === 'word');
    if (words.some((word) => isWord(word, 'to'))) return 'read';
    const isChain =
      words.some((word) => isWord(word, 'chain')) &&
      !words.some((word) => isWord(word, 'no'));
    const end = isCommit ? 'commit' : 'rollback';
    return isChain ? `${end}-and-chain` : end;
  }
  if (isWord(first, 'prepare') && isWord(second, 'transaction')) {
    return 'rollback';
  }
  if (isWord(first, 'create', 'alter', 'drop')) return 'definition';
  if (isWord(first, ...RUNS)) return 'hidden';
  if (
    isWord(first, 'explain') &&
    tokens.some((each) => isWord(each, ...RUNS))
  ) {
    return 'hidden';
  }
  if (!isSign(first, '(') && !isWord(first, ...READS)) return 'write';
  const isWrite = tokens.some(
    (token, at) => isWord(token, ...WRITES) && !isLock(tokens, at),
  );
  return isWrite ? 'write' : 'read';
}

/** Whether a statement may change tables that it does not name in a form that is known. @internal */
export function isAboutAnyTable(tokens: readonly SqlToken[]): boolean {
  const [first, second] = tokens;
  if (tokens.some(({ kind }) => kind === 'any-name')) return true;
  if (isWord(first, 'alter')) return isWord(second, 'schema', 'type');
  // A schema, or a type, with what depends on it.
  return (
    isWord(first, 'drop') &&
    (isWord(second, 'owned') ||
      (tokens.some((token) => isWord(token, 'cascade')) &&
        !isWord(second, 'table', 'view', 'materialized', 'foreign')))
  );
}

/** Whether UPDATE at a place is that of SELECT … FOR UPDATE. */
function isLock(tokens: readonly SqlToken[], at: number): boolean {
  return isWord(tokens[at - 1], 'for', 'key');
}
