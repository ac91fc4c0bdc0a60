/** A position in PostgreSQL's log, in bytes. @internal */
export type Lsn = bigint;

const TEXT = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i;

/** Reads `16/B374D848`; `null` for any other text. @internal */
export function parseLsn(text: string): Lsn | null {
  const [, high, low] = TEXT.exec(text) ?? [];
  if (high === undefined || low === undefined) return null;
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

/** Writes a position as PostgreSQL does. @internal */
export function formatLsn(lsn: Lsn): string {
  const high = (lsn >> 32n).toString(16);
  const low = (lsn & 0xffff_ffffn).toString(16);
  return `${high}/${low}`.toUpperCase();
}
