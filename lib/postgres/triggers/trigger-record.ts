import type { SourceOutlet } from '../../publisher/index.js';
import type { RelayPlace, RelayRecord } from '../../transport/index.js';
import { ChangeSet } from '../mapping/change-set.js';
import { widenTables } from '../mapping/table-mapper.js';
import type { TableMappings } from '../mapping/table-mapping.js';
import type { SourceLog } from '../source-log.js';

/** In the record: triggers are wrong, so that changes are missed. */
const UNSEEN = 'unseen';

/**
 * The record of which triggers the tables have, and of the server's start. All mapped types
 * are invalidated when it changes, by the drain that changes it.
 *
 * Every method rejects if Redis does not answer.
 *
 * @internal
 */
export class TriggerRecord {
  /** The last known place of the record. */
  #place: RelayPlace | null = null;

  constructor(
    private readonly record: RelayRecord,
    private readonly tables: TableMappings,
    private readonly outlet: SourceOutlet,
    private readonly log: SourceLog,
  ) {}

  /**
   * @param digest of triggers and tables, with the server's start behind a dot; `null` if
   * triggers are wrong
   * @param provenAt when everything that is announced now was all there was, by
   * `performance.now()`; `null` if that is not known
   */
  async found(digest: string | null, provenAt: number | null): Promise<void> {
    const now = digest ?? UNSEEN;
    const place = this.#place;
    if (digest !== null && provenAt !== null && place?.offset === now) {
      const age = performance.now() - provenAt;
      if (await this.record.prove(place, age)) return;
    }
    this.#place = await this.#move(now);
  }

  async #move(now: string): Promise<RelayPlace | null> {
    const { place } = await this.record.read();
    if (place.offset === now) return place;
    if (now === UNSEEN) return this.record.forward(place, now, []);
    const changes = new ChangeSet(1, () => {});
    widenTables(this.tables, changes);
    const messages = this.outlet
      .encode(changes.invalidations(), null, null)
      .map((payload) => ({ payload, kind: 'extra' as const, offset: null }));
    const moved = await this.record.forward(place, now, messages);
    if (moved !== null) this.log.missed(causeOf(place.offset, now));
    return moved;
  }
}

/** @param before the record; `null` at the first start */
function causeOf(
  before: string | null,
  now: string,
): 'first-start' | 'restart' | 'definition' {
  if (before === null) return 'first-start';
  const [digest] = now.split('.');
  return before.startsWith(`${digest}.`) ? 'restart' : 'definition';
}
