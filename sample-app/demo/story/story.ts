import type { InvalidationStatsSnapshot } from 'nestjs-cache-invalidation';
import type { Claims } from '../claims.js';
import type { FreshnessJudge } from '../freshness.judge.js';
import type { Answer, HttpClient } from '../http.client.js';
import type { InstanceName } from '../../shared/services.js';
import type { Network } from '../network.js';
import { milliseconds, type Printer } from '../printer.js';

/** Tools of every chapter. */
export interface Story {
  readonly network: Network;
  readonly http: HttpClient;
  readonly judge: FreshnessJudge;
  readonly claims: Claims;
  readonly print: Printer;
}

/** Users and posts of the story. Ada follows Grace. */
export interface Cast {
  readonly adaId: number;
  readonly graceId: number;
  /** Posts by Grace. */
  readonly postIds: readonly number[];
}

/**
 * Time after the answer to a change in which a read may begin and still be old,
 * in milliseconds. The message takes about one; the rest is for busy machines.
 * A copy that is never evicted is old for a minute.
 */
export const DIRECT_PATIENCE_MS = 500;

/** The limit for values that another service derives from the change first, in milliseconds. */
export const DERIVED_PATIENCE_MS = 2_000;

export const GATEWAYS = ['gateway', 'gateway-2'] as const;

/** How long to wait for a certain event on a very busy machine, in milliseconds. */
export const PATIENCE_MS = 10_000;

/** Resolves once the instance has applied the invalidations of an answer's request. */
export async function applied(
  { network, http }: Story,
  instance: InstanceName,
  { offset }: Answer<unknown>,
): Promise<void> {
  const url = `${network.urlOf(instance)}/applied/${offset}`;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { status } = await http.send('GET', url);
    if (status === 204) return;
    if (performance.now() > deadline) {
      throw new Error(`${instance} never received offset ${offset}.`);
    }
  }
}

/**
 * Reads until the gateway has the value in memory: messages of earlier chapters
 * may still arrive.
 */
export async function keep(
  { network, http }: Story,
  gateway: InstanceName,
  path: string,
): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const url = `${network.urlOf(gateway)}${path}`;
    const { source } = await http.mustSend('GET', url);
    if (source === 'L1') return;
    if (performance.now() > deadline) {
      throw new Error(`${gateway} does not keep ${path}.`);
    }
  }
}

/** Number of messages that user-service has published, once Redis has all of them. */
export async function publishedBy({ network, http }: Story): Promise<number> {
  const url = network.urlOf('user-service');
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const health = await http.send<{ pending?: number }>(
      'GET',
      `${url}/health`,
    );
    if (health.body.pending === 0) break;
    if (performance.now() > deadline) {
      throw new Error('user-service still has messages to publish.');
    }
  }
  const stats = await http.mustSend<InvalidationStatsSnapshot>(
    'GET',
    `${url}/stats`,
  );
  return stats.body.published;
}

/** Reads once through a gateway, and prints the answer. */
export async function read<Body>(
  { network, http, print }: Story,
  gateway: InstanceName,
  path: string,
  describe: (body: Body) => string,
): Promise<Answer<Body>> {
  const url = `${network.urlOf(gateway)}${path}`;
  const answer = await http.mustSend<Body>('GET', url);
  print.step(
    `GET ${gateway}${path}`,
    answer.source,
    answer.ms,
    describe(answer.body),
  );
  return answer;
}

/** Reads through a gateway until a change shows, and prints the answer and the number of old reads. */
export async function readUntil<Body>(
  { network, judge, print }: Story,
  gateway: InstanceName,
  path: string,
  changed: number,
  isFresh: (answer: Answer<Body>) => boolean,
  describe: (answer: Answer<Body>) => string,
  patience = DIRECT_PATIENCE_MS,
): Promise<void> {
  const url = `${network.urlOf(gateway)}${path}`;
  const verdict = await judge.readUntil(url, changed, isFresh, patience);
  const { last, fresh, oldReads, ms } = verdict;
  print.step(`GET ${gateway}${path}`, last.source, last.ms, describe(last));
  if (fresh && oldReads === 0) return;
  const when = `${milliseconds(ms)} ms after the change was answered`;
  const reads = `${oldReads} old ${oldReads === 1 ? 'read' : 'reads'}`;
  print.text(
    fresh
      ? `    fresh ${when}, with ${reads} before`
      : `    STALE: still the old state ${when}`,
  );
}
