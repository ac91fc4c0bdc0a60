import {
  InvalidatesCache,
  InvalidatesCachePattern,
} from 'nestjs-cache-invalidation';
import { ENTITY_TYPES } from '../database.mjs';

/**
 * The service whose decorated methods change rows: `changeUser(ids, change)` and
 * so on for each type, `changeMatching(glob, change)`. A `change` names the rows,
 * and has the times between which the method's own body ran: what a call took
 * besides is the library's.
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

/** As a compiler would, for this is no TypeScript. */
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
