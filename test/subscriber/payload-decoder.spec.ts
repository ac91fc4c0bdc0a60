import { describe, expect, it } from 'vitest';
import type { CacheInvalidationError } from '../../lib/errors/index.js';
import { Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { PayloadDecoder } from '../../lib/subscriber/payload-decoder.js';
import { wire } from './setup.js';

function startDecoder() {
  const meter = new InvalidationCounters(new Instance('test'));
  const reporter = new ErrorReporter();
  const errors: CacheInvalidationError[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  let widened = 0;
  const decoder = new PayloadDecoder(1_024, meter, reporter, () => widened++);
  return { decoder, meter, errors, widened: () => widened };
}

describe('PayloadDecoder: many invalid payloads', () => {
  it('reports at most 100 a second, and counts all', () => {
    const { decoder, meter, errors } = startDecoder();
    const before = Error.stackTraceLimit;
    const begun = performance.now();
    for (let n = 0; n < 3_000; n++) {
      expect(decoder.decode(n % 2 === 0 ? 'hello' : '{}')).toBeNull();
    }
    const seconds = Math.ceil((performance.now() - begun) / 1_000);

    expect(meter.totals.malformed).toBe(3_000);
    expect(errors.length).toBeGreaterThanOrEqual(100);
    expect(errors.length).toBeLessThanOrEqual(100 * seconds);
    expect(Error.stackTraceLimit).toBe(before);
  });

  it('still decodes valid messages, and widens a message that is too large', () => {
    const { decoder, widened } = startDecoder();
    for (let n = 0; n < 500; n++) decoder.decode('hello');

    expect(decoder.decode(wire('1'))).toMatchObject({ entityId: '1' });
    expect(decoder.decode(wire('x'.repeat(1_024)))).toBeNull();
    expect(widened()).toBe(1);
  });
});
