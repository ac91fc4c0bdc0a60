import { OutgoingMessage } from 'node:http';
import { Readable, Writable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { isPromiseLike } from '../../lib/stream/index.js';
import {
  isGenerator,
  isIteration,
  streamOf,
} from '../../lib/stream/unfinished.js';

function* generate() {
  yield 1;
}

async function* generateLater() {
  yield 1;
}

describe('A result that is not finished', () => {
  it('is a stream, or the one in a file, but not the response of a server', () => {
    const stream = Readable.from(['text']);
    expect(streamOf(stream)).toBe(stream);
    expect(streamOf(new StreamableFile(stream))).toBe(stream);
    const written = new Writable();
    expect(streamOf(written)).toBe(written);
    expect(streamOf(new OutgoingMessage())).toBeNull();
    expect(streamOf({ pipe: () => {} })).toBeNull();
    expect(streamOf(null)).toBeNull();
  });

  it('is an iteration', () => {
    expect(isIteration(generate())).toBe(true);
    expect(isIteration(generateLater())).toBe(true);
    const iterable = { [Symbol.asyncIterator]: () => generateLater() };
    expect(isIteration(iterable)).toBe(true);
    expect(isIteration({ [Symbol.asyncIterator]: 1 })).toBe(false);
    expect(isIteration([1])).toBe(false);
    expect(isIteration(null)).toBe(false);
    expect(isIteration('text')).toBe(false);
    expect(isIteration(undefined)).toBe(false);
  });

  it('is what a generator function returned', () => {
    expect(isGenerator(generate())).toBe(true);
    expect(isGenerator(generateLater())).toBe(true);
    expect(isGenerator([1])).toBe(false);
    expect(isGenerator({ [Symbol.toStringTag]: 'No Generator' })).toBe(false);
    expect(isGenerator({ [Symbol.toStringTag]: 'Generator]' })).toBe(false);
  });

  it('is a promise, or has a method then', () => {
    expect(isPromiseLike(Promise.resolve())).toBe(true);
    // oxlint-disable-next-line unicorn/no-thenable -- as a query builder is
    expect(isPromiseLike({ then: () => {} })).toBe(true);
    // oxlint-disable-next-line unicorn/no-thenable -- not one that is called
    expect(isPromiseLike({ then: 1 })).toBe(false);
    expect(isPromiseLike({})).toBe(false);
    expect(isPromiseLike(null)).toBe(false);
    expect(isPromiseLike(undefined)).toBe(false);
    // oxlint-disable-next-line unicorn/no-thenable -- a function is no promise
    expect(isPromiseLike(Object.assign(() => {}, { then: () => {} }))).toBe(
      false,
    );
  });
});
