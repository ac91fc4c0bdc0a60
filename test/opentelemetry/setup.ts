import {
  context,
  propagation,
  trace,
  type Attributes,
  type Span,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  ParentBasedSampler,
  SamplingDecision,
  SimpleSpanProcessor,
  type ReadableSpan,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { CacheInvalidationOpenTelemetryModule } from 'nestjs-cache-invalidation/opentelemetry';
import { expect, onTestFinished } from 'vitest';
import { startApp, type AppOptions, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

/** Name of a root span that is not sampled, nor are its children. */
export const UNSAMPLED = 'unsampled';

/** Sets up traces as an application does, for one test; returns the ended spans. */
export function setUpTraces(
  ...processors: SpanProcessor[]
): () => readonly ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({
    sampler: new ParentBasedSampler({
      root: {
        shouldSample: (_context, _traceId, name) => ({
          decision:
            name === UNSAMPLED
              ? SamplingDecision.NOT_RECORD
              : SamplingDecision.RECORD_AND_SAMPLED,
        }),
      },
      // Spans of readers that ask although the publisher was not sampled.
      remoteParentNotSampled: new AlwaysOnSampler(),
    }),
    spanProcessors: [...processors, new SimpleSpanProcessor(exporter)],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(
    new AsyncLocalStorageContextManager().enable(),
  );
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  onTestFinished(async () => {
    trace.disable();
    context.disable();
    propagation.disable();
    await provider.shutdown();
  });
  return () => exporter.getFinishedSpans();
}

/** Starts the small application with the instrumentation. */
export const startTraced = (options: AppOptions = {}): Promise<TestApp> =>
  startApp({ imports: [CacheInvalidationOpenTelemetryModule], ...options });

/** Runs `work` in a span of the application's own. */
export function inSpan<T>(name: string, work: () => T): T {
  return trace.getTracer('test').startActiveSpan(name, (span: Span) => {
    try {
      return work();
    } finally {
      span.end();
    }
  });
}

/** Names from a span up to its root, each the parent of the one before. */
export function ancestry(
  spans: readonly ReadableSpan[],
  span: ReadableSpan,
): string[] {
  const parentId = span.parentSpanContext?.spanId;
  if (parentId === undefined) return [span.name];
  const parent = spans.find((each) => each.spanContext().spanId === parentId);
  return parent === undefined
    ? [span.name, 'a parent that did not end']
    : [span.name, ...ancestry(spans, parent)];
}

export const named = (
  spans: readonly ReadableSpan[],
  name: string,
): ReadableSpan[] => spans.filter((span) => span.name === name);

/** Waits for a number of spans with this name. */
export const ended = (
  spans: () => readonly ReadableSpan[],
  name: string,
  count = 1,
): Promise<ReadableSpan[]> =>
  eventually(() => {
    const found = named(spans(), name);
    expect(found).toHaveLength(count);
    return found;
  });

export const attributesOf = ({ attributes }: ReadableSpan): Attributes =>
  attributes;
