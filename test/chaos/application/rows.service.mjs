import {
  InvalidatesCache,
  InvalidatesCachePattern,
} from 'nestjs-cache-invalidation';
import { ENTITY_TYPES } from '../database.mjs';

/**
 * Service whose decorated methods change rows: `changeUser(ids, change)` and so
 * on for each type, and `changeMatching(glob, change)`. A `change` names the
 * rows and records when the method's own body ran: the rest of the call's time
 * is the library's.
 */
export class RowsService {
  /** `keys => promise`, to the database. */
  write = null;

  async apply(change) {
    change.bodyBegan = performance.now();
    await this.write(change.keys);
    change.bodyEnded = performance.now();
  }
}

for (const type of ENTITY_TYPES) {
  addMethod(
    `change${type}`,
    InvalidatesCache(type, (ids) => ids),
  );
}
addMethod(
  'changeMatching',
  InvalidatesCachePattern((glob) => glob),
);

/** Decorates a method as the TypeScript compiler would. */
function addMethod(name, decorate) {
  const descriptor = {
    async value(_what, change) {
      await this.apply(change);
    },
    writable: true,
    configurable: true,
  };
  decorate(RowsService.prototype, name, descriptor);
  Object.defineProperty(RowsService.prototype, name, descriptor);
}
