import type { RedisLink } from './redis-link.js';

/** Time of the server's clock, which journal offsets are made of. @internal */
export async function serverTime(link: RedisLink): Promise<number> {
  const [seconds, micros] = await link.within('TIME', link.client.time());
  return Number(seconds) * 1_000 + Number(micros) / 1_000;
}

/** The lowest offset of a time. @internal */
export function offsetAt(time: number): string {
  return `${Math.max(0, Math.floor(time))}-0`;
}

/** Time of an offset, in milliseconds since the epoch. @internal */
export function millisecondsOf(offset: string): number {
  return Number(offset.slice(0, offset.indexOf('-')));
}
