import {
  InvalidationTransport,
  type PublishReply,
  type TransportListener,
} from '../../lib/transport/index.js';

/** One call of `publish()`, which the test answers when it sees fit. */
export class ScriptedCall {
  readonly reply: Promise<PublishReply[]>;
  #resolve!: (replies: PublishReply[]) => void;

  constructor(readonly payloads: readonly string[]) {
    this.reply = new Promise((resolve) => (this.#resolve = resolve));
  }

  /** The broker took everything. */
  succeed(receivers = 1): void {
    this.answer(...this.payloads.map(() => receivers));
  }

  /** The broker took nothing. */
  fail(message = 'READONLY'): void {
    this.answer(...this.payloads.map(() => new Error(message)));
  }

  answer(...replies: PublishReply[]): void {
    this.#resolve(replies);
  }
}

/** A broker whose every answer, and silence, is the test's to decide. */
export class ScriptedTransport extends InvalidationTransport {
  writable = true;
  readonly calls: ScriptedCall[] = [];
  listener: TransportListener | null = null;
  /** Answers every call at once, for tests about something else. */
  obliging = false;

  start(listener: TransportListener): void {
    this.listener = listener;
  }

  publish(payloads: readonly string[]): Promise<PublishReply[]> {
    const call = new ScriptedCall(payloads);
    this.calls.push(call);
    if (this.obliging) call.succeed();
    return call.reply;
  }

  async close(): Promise<void> {
    this.listener = null;
  }

  /** The call with this index; a negative one counts from the last. */
  call(index: number): ScriptedCall {
    const call = this.calls.at(index);
    if (call === undefined) throw new Error(`There is no call ${index}.`);
    return call;
  }

  /** What was sent, call by call. */
  get sent(): readonly (readonly string[])[] {
    return this.calls.map(({ payloads }) => payloads);
  }
}
