import type { VirtualTime } from './virtual.time.js';

/** Called with a line for each event. */
export type Trace = (line: string) => void;

/** A hash of all events of a run, and a line for each where somebody reads them. */
export class Trail {
  #fingerprint = 0;

  constructor(
    private readonly time: VirtualTime,
    private readonly onLine: Trace | null,
  ) {}

  /** Equal for equal seeds, unless the run is not deterministic. */
  get fingerprint(): number {
    return this.#fingerprint >>> 0;
  }

  get isRead(): boolean {
    return this.onLine !== null;
  }

  note(text: string): void {
    let hash = this.#fingerprint ^ Math.floor(this.time.now * 1_000);
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 16_777_619);
    }
    this.#fingerprint = hash;
  }

  trace(line: string | (() => string)): void {
    if (this.onLine === null) return;
    const text = typeof line === 'string' ? line : line();
    this.onLine(`${this.time.now.toFixed(1).padStart(9)}  ${text}`);
  }
}
