import type { ByteReader } from './byte-reader.js';
import { MalformedWalError } from './malformed-wal.error.js';

/** In place of an index: the value is NULL. */
const NULL = -1;
/** In place of an index: the value was not sent, since it is large and unchanged. */
const UNSENT = -2;

const KIND = { null: 0x6e, unchanged: 0x75, text: 0x74 };

/**
 * The values of one row. A text is made when it is asked for, from bytes that are valid
 * only until the handler of the message returns.
 *
 * @internal
 */
export class Tuple {
  private constructor(
    private readonly bytes: Buffer,
    /** First byte of each value and the one after its last, in pairs. */
    private readonly places: readonly number[],
  ) {}

  /** @throws MalformedWalError */
  static read(reader: ByteReader): Tuple {
    const columns = reader.count16();
    const places: number[] = [];
    for (let column = 0; column < columns; column++) {
      const kind = reader.int8();
      if (kind === KIND.text) {
        const length = reader.count32();
        places.push(reader.at, reader.at + length);
        reader.skip(length);
      } else if (kind === KIND.null) places.push(NULL, NULL);
      else if (kind === KIND.unchanged) places.push(UNSENT, UNSENT);
      else throw new MalformedWalError('a value of an unknown kind');
    }
    return new Tuple(reader.bytes, places);
  }

  get columns(): number {
    return this.places.length / 2;
  }

  /** The value of a column as text; `undefined` if it was not sent. */
  text(column: number): string | null | undefined {
    const from = this.places[2 * column] ?? UNSENT;
    if (from === UNSENT) return undefined;
    if (from === NULL) return null;
    return this.bytes.toString('utf8', from, this.places[2 * column + 1]);
  }
}
