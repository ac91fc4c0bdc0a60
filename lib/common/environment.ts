const FLAGS = new Map([
  ['true', true],
  ['1', true],
  ['on', true],
  ['yes', true],
  ['false', false],
  ['0', false],
  ['off', false],
  ['no', false],
]);

/** Reads a yes or no from a variable; `undefined` for any other text. @internal */
export function flagIn(text: string): boolean | undefined {
  return FLAGS.get(text.trim().toLowerCase());
}

/** Whether the environment switches the library off, module or none. @internal */
export function isSwitchedOff(): boolean {
  return flagIn(process.env['CACHE_INVALIDATION_ENABLED'] ?? '') === false;
}
