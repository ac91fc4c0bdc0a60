import { createHash } from 'node:crypto';
import { CallbackFailedError } from '../errors/index.js';
import { decodeMessage, type InvalidationMessage } from '../message/index.js';
import type { ErrorReporter } from '../stream/index.js';
import { remember } from './stored-rows.js';

/**
 * Decodes rows of the durable outbox. A row that holds no message is reported once.
 *
 * @internal
 */
export class StoredTexts {
  /** Hashes of texts that are no message. */
  readonly #unreadable = new Set<string>();

  constructor(private readonly errors: ErrorReporter) {}

  /** How many rows are known to hold no message. */
  get unreadable(): number {
    return this.#unreadable.size;
  }

  /** Messages of the rows, and whether a row was found that holds none. */
  read(texts: readonly string[]): {
    messages: InvalidationMessage[];
    isNewUnreadable: boolean;
  } {
    const messages: InvalidationMessage[] = [];
    let isNewUnreadable = false;
    for (const text of texts) {
      try {
        messages.push(decodeMessage(text, Infinity));
      } catch (cause) {
        isNewUnreadable = this.#report(text, cause) || isNewUnreadable;
      }
    }
    return { messages, isNewUnreadable };
  }

  /** @returns whether the row was not known yet */
  #report(text: string, cause: unknown): boolean {
    const hash = createHash('sha1')
      .update(JSON.stringify(text) ?? '')
      .digest('hex');
    if (this.#unreadable.has(hash)) return false;
    remember(this.#unreadable, hash);
    this.errors.report(
      new CallbackFailedError(
        'The durable outbox',
        'holds a text that is not a message',
        'Everything was invalidated instead. Look for a column that is too short, and delete the row.',
        cause,
      ),
      'durable-outbox',
    );
    return true;
  }
}
