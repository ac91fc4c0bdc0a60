import type { Lsn } from '../../message/index.js';
import { MalformedWalError } from './malformed-wal.error.js';

/**
 * Reads the fields of one message of the replication protocol, and never beyond its end.
 *
 * Every method throws a MalformedWalError where the bytes end too early.
 *
 * @internal
 */
export class ByteReader {
  constructor(
    readonly bytes: Buffer,
    /** Index of the next byte. */
    public at = 0,
  ) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  int8(): number {
    return this.bytes.readUInt8(this.#skip(1));
  }

  /** A count: never negative. */
  count16(): number {
    const count = this.bytes.readInt16BE(this.#skip(2));
    // Each item takes a byte at least: a greater count is no reason to allocate.
    if (count < 0 || count > this.left) throw new MalformedWalError('a count');
    return count;
  }

  /** A count: never negative. */
  count32(): number {
    const count = this.bytes.readInt32BE(this.#skip(4));
    if (count < 0 || count > this.left) throw new MalformedWalError('a length');
    return count;
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.#skip(4));
  }

  lsn(): Lsn {
    return this.bytes.readBigUInt64BE(this.#skip(8));
  }

  /** A text that a zero byte ends. */
  text(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end === -1) throw new MalformedWalError('a text without its end');
    const text = this.bytes.toString('utf8', this.at, end);
    this.at = end + 1;
    return text;
  }

  /** Passes over bytes. */
  skip(count: number): void {
    this.#skip(count);
  }

  /** @throws MalformedWalError unless all bytes are read */
  end(): void {
    if (this.left > 0) throw new MalformedWalError('bytes after the end');
  }

  /** @returns the index of the first byte that is passed over */
  #skip(count: number): number {
    if (count > this.left) throw new MalformedWalError('it ends too early');
    const from = this.at;
    this.at += count;
    return from;
  }
}
