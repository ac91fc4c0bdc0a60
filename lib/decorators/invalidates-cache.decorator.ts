import {
  buildPattern,
  patternOf,
  show,
  type EntityType,
} from '../message/index.js';
import type { InvalidatingOptions } from './method-invalidation.js';
import { publishAfter } from './publishing-method.js';
import { readsThis } from './decorated-member.js';
import { methodInvalidationOf } from './selected-invalidation.js';
import { entitiesOf, type SelectedIds } from './selected-ids.js';
import type { Selector, SelectingDecorator } from './selector.js';

/** Options of `@InvalidatesCache()`. @publicApi */
export interface InvalidatesCacheOptions<
  W extends Selector<boolean>,
> extends InvalidatingOptions<W> {
  /** `Update` means "changed": receivers may refresh their copy. @default 'Delete' */
  readonly action?: 'Delete' | 'Update';
}

/**
 * Invalidates an entity after the method succeeded: after its promise resolves,
 * it returns, or its Observable, stream or iterator ends in any way but an error;
 * after a throw only with `evenIfFails`. The method's result or error passes
 * through unchanged, even if the invalidation fails.
 *
 * @param selector the id or ids, from the method's arguments or, with
 * `fromResult()`, from its result. A selector of arguments is called before the
 * method and again after it: if the entity has lost its id or got another one, both are
 * invalidated. `null` and `undefined` invalidate nothing. If the selector throws, or
 * selects something that is no id, the whole entity type is invalidated.
 * @throws InvalidMessageError for an impossible entity type, and TypeError for an
 * impossible selector or option, where the class is defined
 * @example
 * ```ts
 * @InvalidatesCache('User', (dto: UpdateUserDto) => dto.id)
 * async update(dto: UpdateUserDto): Promise<User> {}
 * ```
 * @publicApi
 */
export function InvalidatesCache<
  S extends Selector<SelectedIds>,
  W extends Selector<boolean> = Selector<boolean>,
>(
  type: EntityType,
  selector: S,
  options: InvalidatesCacheOptions<W> = {},
): SelectingDecorator<S, W> {
  const { action } = options;
  if (action !== undefined && action !== 'Delete' && action !== 'Update') {
    throw new TypeError(
      `${show(action)} is not an action: give 'Delete' or 'Update'.`,
    );
  }
  // Built where the class is defined, since an impossible type throws.
  const whole = patternOf(buildPattern(type));
  const invalidation = methodInvalidationOf<SelectedIds>(
    selector,
    options,
    (selected, failed) => entitiesOf(type, action, selected, whole, failed),
    whole,
  );
  return (target, key, descriptor) =>
    publishAfter(target, key, descriptor, invalidation, {
      does: 'invalidates',
      what: type,
      type,
      covers: whole,
      seesInstance: readsThis(selector),
    });
}
