import type { RegionSource, RegionsOptions } from '../../lib/regions/index.js';
import type { Random } from './random.js';

/** How a region's gate treats messages. */
type Held = 'soon' | 'late' | 'never' | 'throws' | 'mixed';

/** The options `delay` and `held` of a region's sources. */
export interface Gate {
  /** Milliseconds. */
  readonly delay: number;
  /** `null` where nothing is held. */
  readonly held: Held | null;
}

const HELD: readonly Held[] = ['soon', 'late', 'never', 'throws'];

/** Draws the gates of some regions. */
export function gatesFrom(
  random: Random,
  names: readonly string[],
): Record<string, Gate> {
  const isGated = random.chance(0.4);
  return Object.fromEntries(
    names
      .filter(() => isGated && random.chance(0.7))
      .map((name) => [
        name,
        {
          delay: random.pick([100, 700, 2_000]),
          held: random.pick([null, null, ...HELD, 'mixed']),
        },
      ]),
  );
}

/** Sources with the gate of their region. */
export function gated(
  sources: RegionsOptions['sources'],
  gate: Gate | undefined,
  random: Random,
): RegionsOptions['sources'] {
  if (gate === undefined) return sources;
  const options = optionsOf(gate, random);
  return Object.fromEntries(
    Object.entries(sources).map(([name, source]) => [
      name,
      { ...source, ...options },
    ]),
  );
}

/** Milliseconds that a message may be held. */
export function heldFor(gate: Gate | undefined): number {
  return gate === undefined || gate.held === null ? 0 : gate.delay;
}

function optionsOf(
  { delay, held }: Gate,
  random: Random,
): Pick<RegionSource, 'delay' | 'held'> {
  if (held === null) return { delay };
  return {
    delay,
    held: async () => {
      const how = held === 'mixed' ? random.pick(HELD) : held;
      if (how === 'throws') throw new Error('The replica is away.');
      if (how === 'never') return new Promise<void>(() => undefined);
      const most = how === 'soon' ? delay / 2 : 2 * delay;
      const waits = random.between(0, most);
      return new Promise<void>((resolve) => setTimeout(resolve, waits));
    },
  };
}
