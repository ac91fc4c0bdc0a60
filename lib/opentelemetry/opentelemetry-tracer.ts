import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span,
  type SpanContext,
  type SpanOptions,
} from '@opentelemetry/api';
import {
  messageOf,
  printable,
  printableStack,
  withoutArguments,
} from '../errors/index.js';
import type { InvalidationMessage } from '../message/index.js';
import {
  isPromiseLike,
  type InvalidationTracer,
  type PublishSpan,
} from '../stream/index.js';
import {
  ERROR_TYPE,
  FUNCTION_NAME,
  kindOf,
  operationOn,
  SCOPE,
  STATUS,
} from './attributes.js';

interface Operation extends SpanOptions {
  readonly name: string;
}

/**
 * One trace from the publisher to each called handler, across services.
 *
 * @internal
 */
export class OpenTelemetryTracer implements InvalidationTracer {
  readonly #tracer = trace.getTracer(SCOPE);
  readonly #publish: Operation;
  readonly #process: Operation;
  /** Spans of deliveries: a handler may be called when its turn comes, much later. */
  readonly #deliveries = new WeakMap<InvalidationMessage, Context>();

  constructor(channel: string) {
    this.#publish = {
      name: `publish ${channel}`,
      kind: SpanKind.PRODUCER,
      attributes: operationOn(channel, 'publish'),
    };
    this.#process = {
      name: `process ${channel}`,
      kind: SpanKind.CONSUMER,
      attributes: operationOn(channel, 'process'),
    };
  }

  publishing(message: InvalidationMessage): PublishSpan | null {
    const caller = context.active();
    const span = this.#start(this.#publish, message, caller);
    if (!isTraced(span)) return null;
    const carrier: Record<string, string> = {};
    try {
      propagation.inject(trace.setSpan(caller, span), carrier);
    } catch (error) {
      span.end();
      throw error;
    }
    return {
      trace: Object.keys(carrier).length > 0 ? carrier : null,
      end: (status) => span.setAttribute(STATUS, status).end(),
    };
  }

  traceId(): string | null {
    return trace.getSpanContext(context.active())?.traceId ?? null;
  }

  /**
   * Spans a delivery, as a child of the publish span and linked to it: the conventions
   * ask for the link and allow the parent, and a trace that ends at the publish would
   * not show which copies it reached. The active span does not matter: it belongs to
   * the code that opened the connection. The span ends when every consumer has been
   * called; handlers that return promises go on in spans of their own.
   */
  delivering(message: InvalidationMessage, deliver: () => void): void {
    const parent = extracted(message);
    const creation = trace.getSpanContext(parent);
    if (isUnsampled(creation)) return context.with(parent, deliver);
    const span = this.#start(
      creation === undefined
        ? this.#process
        : { ...this.#process, links: [{ context: creation }] },
      message,
      parent,
    );
    if (!isTraced(span)) return deliver();
    const delivery = trace.setSpan(parent, span);
    this.#deliveries.set(message, delivery);
    try {
      context.with(delivery, deliver);
    } finally {
      span.end();
    }
  }

  handling(
    message: InvalidationMessage,
    handler: string,
    handle: () => unknown,
  ): void {
    // The message of a collapsed queue was never delivered itself.
    const parent = this.#deliveries.get(message) ?? extracted(message);
    if (isUnsampled(trace.getSpanContext(parent))) {
      return void context.with(parent, handle);
    }
    const options = { attributes: { [FUNCTION_NAME]: handler } };
    const span = this.#tracer.startSpan(handler, options, parent);
    if (!isTraced(span)) return void handle();
    try {
      const result = context.with(trace.setSpan(parent, span), handle);
      if (isPromiseLike(result)) return endWith(span, result);
    } catch (error) {
      noteFailure(span, error);
    }
    span.end();
  }

  #start(
    operation: Operation,
    message: InvalidationMessage,
    parent: Context,
  ): Span {
    const span = this.#tracer.startSpan(operation.name, operation, parent);
    return span.isRecording() ? span.setAttributes(kindOf(message)) : span;
  }
}

/** Whether a span is recorded. Without an SDK none is, and tracing costs nearly nothing. */
function isTraced(span: Span): boolean {
  return trace.isSpanContextValid(span.spanContext());
}

/** Whether a publisher decided against a trace; its readers then start no spans. */
function isUnsampled(publisher: SpanContext | undefined): boolean {
  return (
    publisher !== undefined && (publisher.traceFlags & TraceFlags.SAMPLED) === 0
  );
}

function extracted({ trace: carrier }: InvalidationMessage): Context {
  // Absent in a message that an application made by hand.
  return carrier ? propagation.extract(ROOT_CONTEXT, carrier) : ROOT_CONTEXT;
}

function endWith(span: Span, result: PromiseLike<unknown>): void {
  result
    .then(
      () => span.end(),
      (error: unknown) => {
        noteFailure(span, error);
        span.end();
      },
    )
    // An error of the SDK costs the span; a rejection would end the process.
    .then(undefined, () => undefined);
}

/** Records an error without its message, which may quote data of the application. */
function noteFailure(span: Span, thrown: unknown): void {
  const error =
    thrown instanceof Error ? thrown : new TypeError('No Error was thrown.');
  span.recordException({
    name: error.name,
    message: printable(withoutArguments(messageOf(error))),
    stack: printableStack(error),
  });
  span.setAttribute(ERROR_TYPE, error.name);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
