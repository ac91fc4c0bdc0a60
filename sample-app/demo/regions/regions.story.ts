import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceState } from '../../shared/operations/service.state.js';
import type { Claims } from '../claims.js';
import type { FreshnessJudge } from '../freshness.judge.js';
import type { HttpClient } from '../http.client.js';
import type { Printer } from '../printer.js';
import {
  REGIONS,
  type Region,
  type RegionsNetwork,
} from './regions.network.js';

/** Tools of every chapter. */
export interface RegionsStory {
  readonly network: Pick<RegionsNetwork, 'urlOf' | 'cut' | 'heal'>;
  readonly http: HttpClient;
  readonly judge: FreshnessJudge;
  readonly claims: Claims;
  readonly print: Printer;
}

/** A row in its owner's database, and the gateway of the other region. */
export interface Row {
  /** The region of its owner. */
  readonly home: Region;
  readonly away: Region;
  readonly service: 'user-service' | 'content-service';
  /** Path of the route, at the owner and at each gateway. */
  readonly path: string;
  /** The next content to write. */
  readonly content: (number: number) => object;
}

/** The part of a row by which old copies are told from fresh ones. */
export interface Version {
  readonly version: number;
}

/** How long to wait for a certain event on a very busy machine, in milliseconds. */
export const PATIENCE_MS = 15_000;

/** Health and statistics of a region's gateway. */
export async function stateOf(
  { network, http }: RegionsStory,
  region: Region,
): Promise<ServiceState> {
  const url = `${network.urlOf(region, 'gateway')}/state`;
  return (await http.mustSend<ServiceState>('GET', url)).body;
}

/** Whether both regions are healthy, so that each hears the other. */
export async function allUp(story: RegionsStory): Promise<boolean> {
  const states = await Promise.all(
    REGIONS.map((region) => stateOf(story, region)),
  );
  return states.every(({ health }) => health.status === 'up');
}

/** How long ago everything of a region was known to have arrived, in words. */
export function heard(region: Region, { health }: ServiceState): string {
  const age = health.regions[region] ?? null;
  return age === null
    ? `${region} not heard yet`
    : `${region} heard ${(age / 1_000).toFixed(1)} s ago`;
}

/**
 * Asks again until the answer is right.
 *
 * @returns milliseconds since the begin
 * @throws Error if that takes longer than `PATIENCE_MS`
 */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  pause = 20,
): Promise<number> {
  const begun = performance.now();
  while (!(await isSo())) {
    if (performance.now() - begun > PATIENCE_MS) {
      throw new Error(`${what}: not within ${PATIENCE_MS / 1_000} s.`);
    }
    await delay(pause);
  }
  return performance.now() - begun;
}
