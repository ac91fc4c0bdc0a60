/** @internal */
export type Method = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Copies name, length and metadata of a method to its wrapper, for guards, pipes, swagger
 * and others that read them.
 *
 * @internal
 */
export function copyMethod(wrapped: Method, original: Method): void {
  for (const property of ['name', 'length'] as const) {
    Object.defineProperty(wrapped, property, {
      value: original[property],
      configurable: true,
    });
  }
  for (const key of Reflect.getMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), wrapped);
  }
}
