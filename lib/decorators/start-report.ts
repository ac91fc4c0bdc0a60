import { Inject, Injectable, Logger } from '@nestjs/common';
import { CACHE_INVALIDATION_OPTIONS } from '../cache-invalidation.constants.js';
import { NearCacheFactory } from '../cache/index.js';
import type { RoleOptions } from '../common/index.js';
import { InvalidationHandlersExplorer } from '../handlers/index.js';
import { concerns, type EntityType } from '../message/index.js';
import { checkRole } from './check-role.js';
import { DecorationChecks, type FoundDecoration } from './decoration-checks.js';

/** @internal */
export interface ReportOptions extends RoleOptions {
  readonly describe: boolean;
}

/**
 * Logs once, at the start, which entity types this application invalidates, caches and
 * handles, and which of them have no counterpart.
 *
 * @internal
 */
@Injectable()
export class StartReport {
  constructor(
    @Inject(CACHE_INVALIDATION_OPTIONS) private readonly options: ReportOptions,
    private readonly checks: DecorationChecks,
    private readonly explorer: InvalidationHandlersExplorer,
    private readonly caches: NearCacheFactory,
  ) {}

  /**
   * Warns of what has no effect; lists all that there is only if asked.
   *
   * @throws InvalidationConfigurationError for classes out of the module's reach, and
   * for caches and handlers in an application that only publishes
   */
  write(): void {
    const decorations = this.checks.check();
    checkRole(this.options, decorations, this.explorer.handlers);
    if (!this.options.describe) return;
    new Logger('CacheInvalidation').log(this.#text(decorations));
  }

  #text(decorations: readonly FoundDecoration[]): string {
    const writers = decorations.filter(({ does }) => does === 'invalidates');
    const readers = decorations.filter(({ does }) => does === 'caches');
    const handlers = this.explorer.handlers;
    const decorated = new Set(readers.flatMap(({ type }) => type ?? []));
    const others = this.caches
      .entityTypes()
      .filter((type) => !decorated.has(type));
    const cached = new Set([...decorated, ...others]);
    const hearsAll = handlers.some(({ types }) => types.length === 0);
    const heard = [...cached, ...handlers.flatMap(({ types }) => types)];
    return [
      'Decorators and near caches of this application:',
      ...writers.map(({ name, what }) => `${name} invalidates ${what}`),
      ...readers.map(({ name, what }) => `${name} caches ${what}`),
      ...others.map((type) => `A near cache caches ${type}`),
      ...handlers.map(
        ({ name, types }) =>
          `${name} hears ${types.join(', ') || 'everything'}`,
      ),
      ...neverInvalidated(cached, writers),
      ...(hearsAll ? [] : neverCached(writers, heard)),
    ].join('\n  - ');
  }
}

function neverInvalidated(
  cached: ReadonlySet<EntityType>,
  writers: readonly FoundDecoration[],
): string[] {
  return [...cached]
    .filter((type) => !writers.some((writer) => concern(writer, type)))
    .map(
      (type) =>
        `${type} is cached, but no decorator here invalidates it: is it invalidated by hand, or by another service?`,
    );
}

function neverCached(
  writers: readonly FoundDecoration[],
  heard: readonly EntityType[],
): string[] {
  const alone = writers.filter(
    (writer) => !heard.some((type) => concern(writer, type)),
  );
  return [...new Set(alone.map(({ what }) => what))].map(
    (what) =>
      `${what} is invalidated, but nothing here caches or handles it: does a bound cache, or another service?`,
  );
}

/** A pattern that only a call can tell may be of any type. */
function concern({ covers }: FoundDecoration, type: EntityType): boolean {
  return covers === null || concerns([type])(covers);
}
