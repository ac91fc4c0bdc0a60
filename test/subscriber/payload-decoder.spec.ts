import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  InvalidMessageError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { Instance } from '../../lib/message/index.js';
import { InvalidationCounters } from '../../lib/observability/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { PayloadDecoder } from '../../lib/subscriber/payload-decoder.js';
import { stopTime } from './clock.js';
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

  it('reports and gives stacks only up to the hundredth of a second', () => {
    stopTime();
    const { decoder, meter, errors } = startDecoder();
    const limits: number[] = [];
    vi.spyOn(meter, 'malformed').mockImplementation(() =>
      limits.push(Error.stackTraceLimit),
    );
    const decode = (count: number): void => {
      for (let n = 0; n < count; n++) decoder.decode('hello');
    };
    const before = Error.stackTraceLimit;
    onTestFinished(() => void (Error.stackTraceLimit = before));
    const limit = 3;
    Error.stackTraceLimit = limit;

    decode(60);
    vi.advanceTimersByTime(999);
    decode(42);
    expect(errors).toHaveLength(100);
    vi.advanceTimersByTime(1);
    decode(2);

    expect(errors).toHaveLength(102);
    // The first payload of a new second is the last one without a stack.
    expect(limits).toEqual([
      ...Array.from({ length: 100 }, () => limit),
      0,
      0,
      0,
      limit,
    ]);
    expect(Error.stackTraceLimit).toBe(limit);
  });
});

describe('PayloadDecoder: an error', () => {
  it('tells what is wrong with the payload, which widens nothing', () => {
    const { decoder, errors, widened } = startDecoder();
    decoder.decode('{}');
    expect(errors).toEqual([expect.any(InvalidMessageError)]);
    expect(errors[0]).toMatchObject({ field: 'message_id' });
    expect(widened()).toBe(0);
  });

  it('of another kind is the cause of one that says that the message could not be read', () => {
    const { decoder, errors, widened } = startDecoder();
    const cause = new RangeError('Maximum call stack size exceeded');
    const freeze = vi.spyOn(Object, 'freeze').mockImplementationOnce(() => {
      throw cause;
    });
    onTestFinished(() => freeze.mockRestore());
    const many = { entity_id: null, entity_ids: ['user:1'], action: 'Batch' };

    expect(decoder.decode(wire('1', many))).toBeNull();

    expect(errors).toEqual([
      new InvalidMessageError('A message could not be read.', '', null, cause),
    ]);
    expect(errors[0]!.cause).toBe(cause);
    expect(widened()).toBe(0);
  });
});
