/** Not run: `tsc` compiles it, as `decorators.types.ts`. */
import {
  batch,
  entity,
  everything,
  ofEntity,
  type CacheInvalidationModuleOptions,
  type CacheInvalidationOptions,
  type NearCacheOptions,
  type CascadeRules,
  type DurableOutbox,
  type EntityId,
  type EntityType,
  type InvalidationMessage,
  type InvalidationPublisher,
  type PublishReceipt,
  type StoredInvalidation,
} from 'nestjs-cache-invalidation';
import {
  decodeMessage,
  type BuiltInEntityType,
} from 'nestjs-cache-invalidation/wire';
import type { Observable } from 'rxjs';
import { expectTypeOf } from 'vitest';

export function isNarrowedByItsAction(message: InvalidationMessage): void {
  switch (message.action) {
    case 'Delete':
    case 'Update':
      expectTypeOf(message.entityId).toEqualTypeOf<string>();
      expectTypeOf(message.pattern).toEqualTypeOf<null>();
      expectTypeOf(message.entityIds).toEqualTypeOf<null>();
      break;
    case 'Pattern':
      expectTypeOf(message.pattern).toEqualTypeOf<string>();
      expectTypeOf(message.entityType).toEqualTypeOf<'pattern'>();
      expectTypeOf(message.entityId).toEqualTypeOf<null>();
      expectTypeOf(message.entityIds).toEqualTypeOf<null>();
      break;
    case 'Batch':
      expectTypeOf(message.entityIds).toEqualTypeOf<readonly string[]>();
      expectTypeOf(message.entityType).toEqualTypeOf<'batch'>();
      expectTypeOf(message.entityId).toEqualTypeOf<null>();
      expectTypeOf(message.pattern).toEqualTypeOf<null>();
      break;
    default:
      expectTypeOf(message).toBeNever();
  }
}

export function isAnyKindBefore(message: InvalidationMessage): void {
  expectTypeOf(message.entityId).toEqualTypeOf<string | null>();
  expectTypeOf(message.pattern).toEqualTypeOf<string | null>();
  expectTypeOf(message.metadata).toBeUnknown();
  expectTypeOf(decodeMessage).returns.toEqualTypeOf<InvalidationMessage>();
  // @ts-expect-error -- it may be null
  message.pattern.startsWith('feed:');
}

export function isReadOnly(message: InvalidationMessage): void {
  // @ts-expect-error -- all consumers get the same message
  message.metadata = 1;
  // @ts-expect-error -- all consumers get the same list
  if (message.action === 'Batch') message.entityIds.push('user:1');
}

export function staysOneThroughOperators(
  messages$: Observable<InvalidationMessage>,
): void {
  const users$ = messages$.pipe(ofEntity('User'));
  expectTypeOf(users$).toEqualTypeOf<Observable<InvalidationMessage>>();
}

export async function isPublished(
  publisher: InvalidationPublisher,
  message: InvalidationMessage,
): Promise<void> {
  const receipt = await publisher.invalidate('User', 1n);
  expectTypeOf(receipt).toEqualTypeOf<PublishReceipt>();
  expectTypeOf(receipt.offset).toEqualTypeOf<string | null>();
  await publisher.publish(everything());
  await publisher.publish(message);
  // @ts-expect-error -- a Delete has an id
  await publisher.publish({ ...entity('User', 1), entityId: null });
  // @ts-expect-error -- update() publishes an Update
  await publisher.invalidate('User', 1, { action: 'Update' });
}

export async function hasAnIdThatCanBeWritten(
  publisher: InvalidationPublisher,
): Promise<void> {
  expectTypeOf<EntityId>().toEqualTypeOf<string | number | bigint>();
  // @ts-expect-error -- no id
  await publisher.invalidate('User', undefined);
  // @ts-expect-error -- no id
  await publisher.invalidateUser({ id: 1 });
  // @ts-expect-error -- no id
  entity('User', new Date());
  // @ts-expect-error -- a batch takes cache keys
  batch([1, 2]);
}

// Any type will do until a project declares its own: merging.spec.ts.
expectTypeOf<string>().toExtend<EntityType>();
expectTypeOf<BuiltInEntityType>().toExtend<EntityType>();

export async function isStoredFirst(
  publisher: InvalidationPublisher,
): Promise<void> {
  const stored = publisher.prepare(entity('User', 1));
  expectTypeOf(stored).toEqualTypeOf<StoredInvalidation>();
  expectTypeOf(
    await publisher.publishStored(stored),
  ).toEqualTypeOf<PublishReceipt>();
  // @ts-expect-error -- an invalidation is prepared first
  await publisher.publishStored(entity('User', 1));
  // @ts-expect-error -- a Delete has an id
  publisher.prepare({ ...entity('User', 1), entityId: null });
}

class Table {
  async pending(query: {
    readonly limit: number;
    readonly olderThan: number;
  }): Promise<string[]> {
    return [`${query.limit} ${query.olderThan}`];
  }

  async remove(messageIds: readonly string[]): Promise<void> {
    await Promise.resolve(messageIds);
  }
}
expectTypeOf<Table>().toExtend<DurableOutbox>();
expectTypeOf<Pick<Table, 'pending'>>().not.toExtend<DurableOutbox>();

type Options = CacheInvalidationModuleOptions;
expectTypeOf<{ serviceName: string }>().toExtend<Options>();
// The environment may set the name of the service.
expectTypeOf<{ startupTimeout: '10s' }>().toExtend<Options>();
expectTypeOf<{ channel: 1 }>().not.toExtend<Options>();
expectTypeOf<{ serviceName: string; enabled: 'yes' }>().not.toExtend<Options>();
expectTypeOf<{
  serviceName: string;
  publishTimeout: '10s';
}>().toExtend<Options>();
expectTypeOf<{
  serviceName: string;
  publishTimeout: '10 seconds';
}>().not.toExtend<Options>();
expectTypeOf<{ ttl: '5m'; l2: { ttl: '1h' } }>().toExtend<NearCacheOptions>();
expectTypeOf<{ ttl: 'soon' }>().not.toExtend<NearCacheOptions>();
type Journal = Pick<CacheInvalidationOptions, 'journal'>;
expectTypeOf<{ journal: false }>().toExtend<Journal>();
expectTypeOf<{ journal: { maxLength: number } }>().toExtend<Journal>();
expectTypeOf<{ journal: true }>().not.toExtend<Journal>();
expectTypeOf<{
  serviceName: string;
  whenStale: 'evict';
}>().not.toExtend<Options>();

export const rules: readonly CascadeRules[] = [
  {
    User: (id) => {
      expectTypeOf(id).toEqualTypeOf<string>();
      return [entity('Post', id), batch([]), everything()];
    },
    session: () => [],
  },
  // @ts-expect-error -- it must answer at once
  { User: async () => [] },
  // @ts-expect-error -- a list
  { User: (id) => entity('Post', id) },
  // @ts-expect-error -- a key does not tell the action
  { User: (id) => [`post:${id}`] },
];
