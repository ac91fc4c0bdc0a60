import type { RedisLink } from '../redis-link.js';

/** `unknown` if the server does not say; that is no fault. @internal */
export type Status = 'ok' | 'unknown' | 'warn' | 'fail';

/** The result of a check. @internal */
export interface Finding {
  readonly status: Status;
  readonly message: string;
  /** The remedy. */
  readonly advice?: string;
  /** Rows of a table below the message. */
  readonly details?: readonly Readonly<Record<string, string>>[];
}

/** One check of a deployment. @internal */
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

/** Several findings as one, as grave as the gravest; `good` if all are well. @internal */
export function together(findings: readonly Finding[], good: string): Finding {
  const faults = findings.filter(({ status }) => status !== 'ok');
  if (faults.length === 0) return ok(good);
  const advice = faults.flatMap((each) => each.advice ?? []).join(' ');
  return {
    status: worst(faults).status,
    message: faults.map(({ message }) => message).join('; '),
    ...(advice !== '' && { advice }),
  };
}

const GRAVITY: readonly Status[] = ['ok', 'unknown', 'warn', 'fail'];

/** The finding of the gravest status. @internal */
export function worst(findings: readonly Finding[]): Finding {
  return findings.reduce((a, b) =>
    GRAVITY.indexOf(b.status) > GRAVITY.indexOf(a.status) ? b : a,
  );
}
