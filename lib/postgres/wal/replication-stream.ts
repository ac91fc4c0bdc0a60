import type { Client, Connection, Submittable } from 'pg';
import type { Lsn } from '../../message/index.js';
import {
  decodeFrame,
  encodeStatus,
  type ReplicationFrame,
} from './replication-frame.js';

/** @internal */
export interface StreamListener {
  /** Handles a frame before the next one. Its bytes are valid until it returns. */
  onFrame(frame: ReplicationFrame): void;
  /** The stream has ended, once; also for what `onFrame` throws. */
  onEnded(cause: Error): void;
}

/**
 * START_REPLICATION as a query of node-postgres: what follows it is the stream, until
 * the connection ends. It acknowledges nothing by itself.
 *
 * @internal
 */
export class ReplicationStream implements Submittable {
  #connection: Connection | null = null;
  #listener: StreamListener | null = null;
  /** Frames that came with the answer to the start. */
  #early: Buffer[] = [];
  #end: Error | null = null;
  #isPaused = true;
  #heardAt = performance.now();
  #settle: ((error: Error | null) => void) | null = null;

  constructor(
    private readonly slot: string,
    private readonly publication: string,
    /** Whether the server can send logical messages, too. */
    private readonly sendsMessages: boolean,
  ) {}

  /** Milliseconds since the server was heard; 0 while the stream is paused. */
  get silence(): number {
    return this.#isPaused ? 0 : performance.now() - this.#heardAt;
  }

  /**
   * Takes the slot; nothing is read before `flow()`.
   *
   * @throws the server's answer, if another connection has it
   */
  start(client: Client): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = (error) => (error === null ? resolve() : reject(error));
      client.query(this);
    });
  }

  /** Begins to hand over frames. */
  flow(listener: StreamListener): void {
    this.#listener = listener;
    if (this.#end !== null) return listener.onEnded(this.#end);
    for (const chunk of this.#early.splice(0)) this.#handle(chunk);
    this.resume();
  }

  /**
   * Tells the server up to where everything is announced, so that it need not be sent
   * again.
   *
   * @param wantsReply whether the server is to answer at once
   */
  acknowledge(handled: Lsn, wantsReply: boolean): void {
    const stream = this.#connection?.stream;
    if (stream === undefined || !stream.writable || this.#end !== null) return;
    stream.write(encodeStatus(handled, wantsReply));
  }

  /** Reads nothing more, so that the server waits. */
  pause(): void {
    this.#isPaused = true;
    this.#connection?.stream.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#heardAt = performance.now();
    this.#connection?.stream.resume();
  }

  /** Hands over nothing more. */
  close(): void {
    this.#end ??= new Error('The stream was closed');
  }

  /** Called by node-postgres. */
  submit(connection: Connection): void {
    this.#connection = connection;
    connection.once('replicationStart', () => {
      connection.stream.pause();
      this.#settle?.(null);
      this.#settle = null;
    });
    connection.query(
      `START_REPLICATION SLOT "${this.slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${this.publication}"'${this.sendsMessages ? ", messages 'true'" : ''})`,
    );
  }

  /** Called by node-postgres for each frame. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    // A copy: the bytes are valid until this returns.
    if (this.#listener === null) this.#early.push(Buffer.from(chunk));
    else this.#handle(chunk);
  }

  /** Called by node-postgres when the server refuses, or the connection is lost. */
  handleError(error: Error): void {
    this.#fail(error);
  }

  /** Called by node-postgres when the server has ended the stream. */
  handleReadyForQuery(): void {
    this.#fail(new Error('The server has ended the stream'));
  }

  /** Called by node-postgres. */
  handleCommandComplete(): void {}

  #handle(chunk: Buffer): void {
    if (this.#end !== null) return;
    this.#heardAt = performance.now();
    try {
      this.#listener?.onFrame(decodeFrame(chunk));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (this.#end !== null) return;
    this.#end = error;
    this.#settle?.(error);
    this.#settle = null;
    this.#listener?.onEnded(error);
  }
}
