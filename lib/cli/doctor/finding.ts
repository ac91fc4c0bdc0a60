import type { RedisLink } from '../redis.link.js';

/** `unknown` where the server does not tell; it is no fault. @internal */
export type Status = 'ok' | 'unknown' | 'warn' | 'fail';

/** @internal */
export interface Finding {
  readonly status: Status;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
  /** Each in a line of its own. */
  readonly details?: readonly Readonly<Record<string, string>>[];
}

/** One thing that is looked into. @internal */
export interface Check {
  readonly name: string;
  readonly run: (link: RedisLink) => Promise<Finding>;
}

/** @internal */
export const ok = (message: string): Finding => ({ status: 'ok', message });

/** @internal */
export const unknown = (message: string): Finding => ({
  status: 'unknown',
  message,
});

/** @internal */
export const warn = (message: string, advice: string): Finding => ({
  status: 'warn',
  message,
  advice,
});

/** @internal */
export const fail = (message: string, advice: string): Finding => ({
  status: 'fail',
  message,
  advice,
});

const GRAVITY: readonly Status[] = ['ok', 'unknown', 'warn', 'fail'];

/** @internal */
export function worst(findings: readonly Finding[]): Finding {
  return findings.reduce((a, b) =>
    GRAVITY.indexOf(b.status) > GRAVITY.indexOf(a.status) ? b : a,
  );
}
