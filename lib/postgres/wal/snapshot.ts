import type { ControlClient } from './control-client.js';

/** Reads the present snapshot, as text. @internal */
export async function readSnapshot(control: ControlClient): Promise<string> {
  const rows = await control.query<{ snapshot: string }>({
    name: 'cache-invalidation-snapshot',
    // The name that versions before 13 have, too.
    text: 'select txid_current_snapshot()::text as snapshot',
  });
  return rows[0]!.snapshot;
}

/**
 * A snapshot of PostgreSQL: the transactions that other sessions see. It has ids of 64
 * bits and the log ids of 32, so they are compared as PostgreSQL does, modulo 2^32.
 *
 * @internal
 */
export class Snapshot {
  private constructor(
    /** The first id that was not assigned yet. */
    private readonly end: number,
    /** Transactions in progress. */
    readonly inProgress: ReadonlySet<number>,
  ) {}

  /** @param text as `txid_current_snapshot()` writes it: `xmin:xmax:xip,xip` */
  static parse(text: string): Snapshot {
    const [, end = '', inProgress = ''] = text.split(':');
    const ids = inProgress.split(',').filter((id) => id !== '');
    return new Snapshot(lower32(end), new Set(ids.map(lower32)));
  }

  /** Whether the changes of a transaction that has committed are visible. */
  sees(xid: number): boolean {
    const isBefore = ((xid - this.end) | 0) < 0;
    return isBefore && !this.inProgress.has(xid);
  }
}

function lower32(id: string): number {
  return Number(BigInt(id) & 0xffff_ffffn);
}
