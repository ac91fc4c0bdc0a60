import { checkEntityId } from './cache-key.js';
import { entityTypeOf, keyPrefixOf, type EntityType } from './entity-type.js';
import { concerns, prefixesOf } from './invalidation-message.js';
import {
  patternOf,
  type Invalidation,
  type PatternInvalidation,
} from './invalidation.js';
import { escapePattern, isMatchAll } from './pattern.js';

/**
 * Brings ids of one entity type into one form, such as
 * `(id) => id.toLowerCase()` for UUIDs. An id must always give one form.
 *
 * @publicApi
 */
export type IdForm = (id: string) => string;

/** By entity type. @publicApi */
export type IdForms = { readonly [T in EntityType]?: IdForm };

/**
 * The forms of the option `normalizeIds`, for messages that arrive and for reads.
 *
 * @internal
 */
export class IdNormalizer {
  /** Forms by the beginning of the type's cache keys. */
  readonly #forms: ReadonlyMap<string, IdForm>;

  private constructor(forms: IdForms) {
    this.#forms = new Map(
      Object.entries(forms).map(([type, form]) => [
        keyPrefixOf(type),
        form as IdForm,
      ]),
    );
  }

  /** @returns `null` without forms, so that they cost nothing */
  static of(forms: IdForms | undefined): IdNormalizer | null {
    return Object.keys(forms ?? {}).length === 0
      ? null
      : new IdNormalizer(forms!);
  }

  /** @returns `null` for a type whose ids stay as they are */
  formOf(type: EntityType): IdForm | null {
    return this.#forms.get(keyPrefixOf(type)) ?? null;
  }

  /**
   * The message with its ids in their forms. Never throws: where a form fails,
   * everything is named. A pattern that is not in the form of its ids names the
   * entity type, since keys in that form may be spared by it.
   */
  message<M extends Invalidation>(message: M): M {
    if (message.action === 'Pattern') {
      return { ...message, ...this.#pattern(message) };
    }
    if (message.action !== 'Batch') return this.#entity(message);
    const keys: string[] = [];
    for (const key of message.entityIds) {
      const colon = key.indexOf(':');
      const prefix = key.slice(0, colon);
      const form = this.#forms.get(prefix);
      const id = form ? idIn(form, key.slice(colon + 1)) : null;
      // Several types may be in a batch: everything covers them.
      if (form && id === null) return { ...message, ...patternOf('*') };
      keys.push(id === null ? key : `${prefix}:${id}`);
    }
    return { ...message, entityIds: keys };
  }

  #pattern(message: PatternInvalidation): PatternInvalidation {
    const { pattern } = message;
    if (isMatchAll(pattern)) return message;
    const [prefix] = prefixesOf(message);
    const ids = pattern.slice(pattern.indexOf(':') + 1);
    for (const [of, form] of this.#forms) {
      if (!concerns([entityTypeOf(of)])(message)) continue;
      if (idIn(form, ids) === ids) continue;
      return {
        ...message,
        pattern: of === prefix ? `${escapePattern(of)}:*` : '*',
      };
    }
    return message;
  }

  #entity<M extends Invalidation>(message: M): M {
    const prefix = keyPrefixOf(message.entityType);
    const form = this.#forms.get(prefix);
    if (form === undefined) return message;
    const id = idIn(form, message.entityId!);
    return id === null
      ? { ...message, ...patternOf('*') }
      : { ...message, entityId: id };
  }
}

function idIn(form: IdForm, id: string): string | null {
  try {
    return checkEntityId(form(id));
  } catch {
    return null;
  }
}
