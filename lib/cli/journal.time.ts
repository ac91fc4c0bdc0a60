import type { RedisLink } from './redis.link.js';

/** By the clock that the journal's offsets are made of. @internal */
export async function serverTime(link: RedisLink): Promise<number> {
  const [seconds, micros] = await link.within('TIME', link.client.time());
  return Number(seconds) * 1_000 + Number(micros) / 1_000;
}

/** The first offset that the journal could have at that time. @internal */
export function offsetAt(time: number): string {
  return `${Math.max(0, Math.floor(time))}-0`;
}

/** When it was written, in milliseconds since the epoch. @internal */
export function millisecondsOf(offset: string): number {
  return Number(offset.slice(0, offset.indexOf('-')));
}
