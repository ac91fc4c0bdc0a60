import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compile, errorsIn, root, type CompileError } from './compile.js';
import { installPackage } from './installed-package.js';

/** Every place that takes an entity type; `TYPE` stands for its name. */
const USES = `
import {
  buildCacheKey, entity, InvalidatesCache, InvalidationPublisher,
  InvalidationSubscriber, ofEntity, OnInvalidation, type CascadeRules,
  type EntityType,
} from 'nestjs-cache-invalidation';
import { buildPattern } from 'nestjs-cache-invalidation/wire';
declare const publisher: InvalidationPublisher;
declare const subscriber: InvalidationSubscriber;
export const type: EntityType = TYPE;
void publisher.invalidate(TYPE, 1);
void publisher.update(TYPE, 1);
void publisher.invalidateCustom(TYPE, 1);
subscriber.subscribe(() => {}, TYPE);
export const operator = ofEntity(TYPE);
export const several = ofEntity('User', TYPE);
export const said = entity(TYPE, 1);
export const key = buildCacheKey(TYPE, 1);
export const glob = buildPattern(TYPE);
export const cascade: CascadeRules = { TYPE: () => [] };
export class Service {
  @InvalidatesCache(TYPE, (id: string) => id)
  async update(id: string): Promise<string> { return id; }
  @OnInvalidation(TYPE) one(): void {}
  @OnInvalidation(['User', TYPE]) two(): void {}
}
`;
const COUNT = USES.split('TYPE').length - 1;

const MERGED = `
declare module 'nestjs-cache-invalidation' {
  interface CacheEntityTypes { Order: true }
}
`;

const use = (type: string): string => USES.replaceAll('TYPE', `'${type}'`);

const sandbox = installPackage();

describe.each([
  ['the sources', join(root, 'test/types/merging.virtual.ts'), {}],
  ['the published declarations', join(sandbox, 'app.ts'), { paths: {} }],
])('entity types, with %s', { timeout: 120_000 }, (_, name, options) => {
  const errorsOf = (text: string): CompileError[] =>
    errorsIn(compile(name, text, options), name);

  it('are any strings until a project declares its own', () => {
    expect(errorsOf(use('Ordr'))).toEqual([]);
  });

  it('may be declared or built in', () => {
    expect(errorsOf(MERGED + use('Order'))).toEqual([]);
    expect(errorsOf(MERGED + use('User'))).toEqual([]);
  });

  it('are rejected everywhere when they are neither', () => {
    const errors = errorsOf(MERGED + use('Ordr'));
    expect(errors).toHaveLength(COUNT);
    for (const { text } of errors) expect(text).toMatch(/["']Ordr["']/);
  });
});

// An application in one repository with the library may compile its sources
// together with its own.
it('the sources compile in a project that declares its own entity types', () => {
  const app = join(root, 'test/types/merging.virtual.ts');
  const program = compile(app, MERGED + use('Order'));
  expect(errorsIn(program, join(root, 'lib/'))).toEqual([]);
}, 120_000);
