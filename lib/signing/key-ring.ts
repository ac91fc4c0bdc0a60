import { bytesOf, type SigningOptions } from './signing.options.js';

/**
 * The secrets that messages and entries are signed with, by the ids of their keys.
 *
 * @internal
 */
export class KeyRing {
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  /** The id of the key that signs. */
  readonly signWith: string;
  /** Whether unsigned messages and unknown keys are refused. */
  readonly isStrict: boolean;

  private constructor({ keys, signWith, accept = 'signed' }: SigningOptions) {
    const secrets = Object.entries(keys).map(
      ([id, secret]) => [id, bytesOf(secret)] as const,
    );
    this.secrets = new Map(secrets);
    this.signWith = signWith ?? secrets[0]![0];
    this.isStrict = accept === 'signed';
  }

  /** @param options checked ones; `undefined` where nothing is signed */
  static of(options: SigningOptions | undefined): KeyRing | null {
    return options === undefined ? null : new KeyRing(options);
  }
}
