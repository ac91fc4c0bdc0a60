import { setTimeout as delay } from 'node:timers/promises';
import type { User } from '../user-service/user.js';
import type { HttpClient } from './http.client.js';
import type { Network } from './network.js';
import { GATEWAYS, type Cast } from './story/story.js';

const NAMES = ['Radia', 'Barbara', 'Frances', 'Hedy', 'Karen', 'Joan', 'Annie'];

/** Grace is read rarely: visitors of the page update and read her. */
const RANK_OF_GRACE = 4;

/** Six reads a second, over both gateways. */
const INTERVAL_MS = 170;
const LOOK_MS = 1_000;

export interface AudienceOptions {
  /** Milliseconds to go on reading while no page is open. */
  readonly patience?: number;
}

/**
 * Reads through the gateways as users would, after the story: a few paths
 * often, the others rarely. Without these reads, hit ratios would mean nothing.
 * The audience pauses when no live page has been open for some time.
 */
export class Audience {
  readonly #patience: number;
  #paths: readonly (() => string)[] = [];
  /** Number of open pages, as the gateways last reported. */
  #viewers = 0;
  #reads = 0;

  constructor(
    private readonly network: Pick<Network, 'urlOf'>,
    private readonly http: HttpClient,
    { patience = 120_000 }: AudienceOptions = {},
  ) {
    this.#patience = patience;
  }

  /** Reads so far. */
  get reads(): number {
    return this.#reads;
  }

  /** Never rejects: failed reads do not matter here. */
  async run(cast: Cast, stop: AbortSignal): Promise<void> {
    await this.#arrive(cast).catch(() => undefined);
    let lookAt = 0;
    let until = performance.now() + this.#patience;
    while (!stop.aborted) {
      const now = performance.now();
      if (now >= lookAt) {
        lookAt = now + LOOK_MS;
        await this.#look();
      }
      const isWatched = this.#viewers > 0;
      if (isWatched) until = now + this.#patience;
      if (isWatched || now < until) await this.#read();
      await delay(INTERVAL_MS, undefined, { signal: stop }).catch(
        () => undefined,
      );
    }
  }

  /** Creates users, two of whom follow Grace. */
  async #arrive({ graceId, postIds }: Cast): Promise<void> {
    this.#paths = pathsOf([graceId], postIds, graceId);
    const users = `${this.network.urlOf('user-service')}/users`;
    const ids: number[] = [];
    for (const name of NAMES) {
      const { body } = await this.http.mustSend<User>('POST', users, { name });
      ids.push(body.id);
    }
    const social = `${this.network.urlOf('social-service')}/users`;
    for (const id of ids.slice(0, 2)) {
      await this.http.mustSend('PUT', `${social}/${id}/following/${graceId}`);
    }
    const people = ids.toSpliced(RANK_OF_GRACE - 1, 0, graceId);
    this.#paths = pathsOf(people, postIds, ids[0]!);
  }

  async #look(): Promise<void> {
    const answers = await Promise.all(
      GATEWAYS.map((gateway) =>
        this.http
          .mustSend<{ viewers: number }>(
            'GET',
            `${this.network.urlOf(gateway)}/viewers`,
          )
          .then(({ body }) => body.viewers)
          .catch(() => 0),
      ),
    );
    this.#viewers = Math.max(...answers);
  }

  async #read(): Promise<void> {
    const path = oneOf(this.#paths)();
    const gateway = GATEWAYS[this.#reads++ % GATEWAYS.length]!;
    const url = `${this.network.urlOf(gateway)}${path}`;
    await this.http.send('GET', url).catch(() => undefined);
  }
}

/** Paths to read: users as often as everything else together. */
function pathsOf(
  people: readonly number[],
  postIds: readonly number[],
  followerId: number,
): (() => string)[] {
  const user = (): string => `/users/${popular(people)}`;
  return [
    user,
    user,
    user,
    () => `/posts/${popular(postIds)}`,
    () => `/feeds/${followerId}?page=${popular([1, 2, 3])}`,
    () => `/notifications/${popular(people)}`,
  ];
}

function oneOf<T>(all: readonly T[]): T {
  return all[Math.floor(Math.random() * all.length)]!;
}

/** A random id: the first twice as often as the second, three times as often as the third (Zipf). */
function popular(ids: readonly number[]): number {
  const weights = ids.map((_, index) => 1 / (index + 1));
  let left = Math.random() * weights.reduce((sum, each) => sum + each, 0);
  const index = weights.findIndex((weight) => (left -= weight) < 0);
  return ids[Math.max(0, index)]!;
}
