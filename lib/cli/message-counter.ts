import type { ReceivedMessage } from './received-message.js';
import { jsonLine, visible } from './visible.js';
import { table } from './table.js';

/** Rows of their own: names come from outside, and further ones share a row. */
const ROW_LIMIT = 1_000;
const ROWS_SHOWN = 20;

/** @internal */
export interface CountedRow {
  readonly service: string;
  readonly type: string;
  readonly action: string;
  messages: number;
  keys: number;
}

/** Counts by service, entity type and action. @internal */
export class MessageCounter {
  readonly #rows = new Map<string, CountedRow>();
  malformed = 0;
  #until = 0;

  /** @param since milliseconds since the epoch; by default the first `until()` */
  constructor(private since: number | null = null) {}

  add({ message }: ReceivedMessage): void {
    if (message === null) {
      this.malformed++;
      return;
    }
    const { sourceService, entityType, action, entityIds } = message;
    const row = this.#row(sourceService, entityType, action);
    row.messages++;
    row.keys += entityIds?.length ?? (action === 'Pattern' ? 0 : 1);
  }

  /** Sets the end of the counted period. */
  until(time: number): void {
    this.since ??= time;
    this.#until = time;
  }

  get seconds(): number {
    return Math.max(0, this.#until - (this.since ?? 0)) / 1_000;
  }

  /** Rows, the busiest first. */
  get rows(): CountedRow[] {
    return [...this.#rows.values()].toSorted((a, b) => b.messages - a.messages);
  }

  #row(service: string, type: string, action: string): CountedRow {
    const id = JSON.stringify([service, type, action]);
    const known = this.#rows.get(id);
    if (known) return known;
    if (this.#rows.size >= ROW_LIMIT && service !== OTHERS) {
      return this.#row(OTHERS, '', '');
    }
    const row = { service, type, action, messages: 0, keys: 0 };
    this.#rows.set(id, row);
    return row;
  }
}

const OTHERS = '(others)';

/** @internal */
export function countsJson(counter: MessageCounter): string {
  const { seconds, malformed, rows } = counter;
  return jsonLine({ seconds, messages: total(rows), malformed, rows });
}

/** @internal */
export function countsTable(counter: MessageCounter): string {
  const { seconds, malformed, rows } = counter;
  const rate = (messages: number): string =>
    seconds > 0 ? (messages / seconds).toFixed(2) : '-';
  const shown = rows
    .slice(0, ROWS_SHOWN)
    .map((row) => [
      visible(row.service, 40),
      visible(row.type, 40),
      row.action,
      row.messages,
      rate(row.messages).padStart(10),
      row.keys,
    ]);
  const head = ['SERVICE', 'TYPE', 'ACTION', 'MESSAGES', 'PER SECOND', 'KEYS'];
  const more = rows.length - shown.length;
  return [
    table([head, ...shown]),
    ...(more > 0 ? [`and ${more} more rows (--json has them)`] : []),
    `${total(rows)} messages in ${seconds.toFixed(1)} s, ${rate(total(rows))} per second` +
      (malformed > 0 ? `; ${malformed} malformed` : ''),
  ].join('\n');
}

function total(rows: readonly CountedRow[]): number {
  return rows.reduce((sum, { messages }) => sum + messages, 0);
}
