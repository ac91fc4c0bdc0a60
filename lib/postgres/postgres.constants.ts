/** Injection token of the validated options. @internal */
export const POSTGRES_SOURCE_OPTIONS = Symbol('POSTGRES_SOURCE_OPTIONS');
