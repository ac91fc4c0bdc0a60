import type { Redis } from 'ioredis';

/** Properties of ioredis that it does not document, the same in versions 5 and 6. */
interface ClientInternals {
  readonly connector: {
    connecting: boolean;
    connect(emit: unknown): Promise<unknown>;
  };
  /** Created when a connect begins, before the connector runs. */
  readonly condition?: { auth?: unknown } | null;
}

/** @internal */
export function internalsOf(client: Redis): ClientInternals {
  return client as unknown as ClientInternals;
}
