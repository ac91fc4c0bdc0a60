import type { ExecutionContext } from '@nestjs/common';

/**
 * Header of `ReadYourWritesInterceptor`, in requests and in responses; in gRPC the name
 * of the metadata.
 *
 * @publicApi
 */
export const OFFSET_HEADER = 'cache-invalidation-offset';

/** Carries offsets to this instance and back, for one call. @internal */
export interface OffsetCarrier {
  /** The offset that the caller sent; unchecked, so it may be anything. */
  readonly asked: unknown;
  /** Response that takes the offset, shared by all its resolvers; `null` if none does. */
  readonly answer: object | null;
  readonly tell: (offset: string) => void;
}

type SetHeader = (response: object, name: string, value: string) => void;

interface Request {
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Express ties its response to it. */
  readonly res?: Response;
}

/** A response of Express or of Fastify, or one without headers. */
interface Response {
  readonly headersSent?: boolean;
  readonly sent?: boolean;
  readonly setHeader?: unknown;
  readonly header?: unknown;
}

/**
 * @returns `null` for calls that carry no headers, or do not let them be read
 * @internal
 */
export function carrierOf(
  context: ExecutionContext,
  setHeader: SetHeader,
): OffsetCarrier | null {
  try {
    return carrierIn(context, setHeader);
  } catch {
    // Some contexts are made by the application; no request fails because of them.
    return null;
  }
}

function carrierIn(
  context: ExecutionContext,
  setHeader: SetHeader,
): OffsetCarrier | null {
  switch (context.getType<string>()) {
    case 'http': {
      const http = context.switchToHttp();
      return ofHeaders(http.getRequest(), http.getResponse(), setHeader);
    }
    case 'graphql':
      return ofGraphql(context.getArgByIndex(2), setHeader);
    case 'rpc':
      return ofMessage(context.getArgs());
    default:
      return null;
  }
}

interface GraphqlContext {
  readonly req?: Request;
  readonly res?: Response;
  /** Set by Mercurius. */
  readonly reply?: Response & { readonly request?: Request };
}

function ofGraphql(
  given: GraphqlContext | null | undefined,
  setHeader: SetHeader,
): OffsetCarrier | null {
  const { reply, req = reply?.request, res = reply ?? req?.res } = given ?? {};
  return ofHeaders(req, res, setHeader);
}

function ofHeaders(
  request: Request | undefined,
  response: Response | undefined,
  setHeader: SetHeader,
): OffsetCarrier {
  const answer = takesHeaders(response) ? response : null;
  return {
    asked: request?.headers?.[OFFSET_HEADER],
    answer,
    tell: (offset) => {
      if (answer === null || answer.headersSent || answer.sent) return;
      setHeader(answer, OFFSET_HEADER, offset);
    },
  };
}

/** A subscription over a WebSocket has none. */
function takesHeaders(response: Response | undefined): response is Response {
  return (
    typeof response?.setHeader === 'function' ||
    typeof response?.header === 'function'
  );
}

/** Context of `@nestjs/microservices`, which may not be installed. */
interface MessageContext {
  /** RabbitMQ, Kafka. */
  getMessage?(): {
    readonly headers?: Readonly<Record<string, unknown>>;
    readonly properties?: {
      readonly headers?: Readonly<Record<string, unknown>>;
    };
  };
  /** NATS. */
  getHeaders?(): { get?(name: string): unknown } | undefined;
  /** MQTT 5. */
  getPacket?(): {
    readonly properties?: {
      readonly userProperties?: Readonly<Record<string, unknown>> | null;
    };
  };
}

interface GrpcMetadata {
  get(name: string): unknown[];
  set(name: string, value: string): void;
}

interface GrpcCall {
  sendMetadata(metadata: GrpcMetadata): void;
}

const UNTOLD: OffsetCarrier = {
  asked: undefined,
  answer: null,
  tell: () => undefined,
};

/** Only gRPC lets a handler put anything beside its answer. */
function ofMessage([, context, call]: unknown[]): OffsetCarrier | null {
  if (isGrpcCall(call)) {
    return ofGrpc(context as GrpcMetadata | null | undefined, call);
  }
  return { ...UNTOLD, asked: headerOf(context ?? {}) };
}

function isGrpcCall(call: unknown): call is GrpcCall {
  return typeof (call as GrpcCall | undefined)?.sendMetadata === 'function';
}

function ofGrpc(
  metadata: GrpcMetadata | null | undefined,
  call: GrpcCall,
): OffsetCarrier {
  if (!metadata) return UNTOLD;
  let isTold = false;
  return {
    asked: metadata.get(OFFSET_HEADER)[0],
    answer: call,
    tell: (offset) => {
      // Metadata leave once, before the first answer.
      if (isTold) return;
      isTold = true;
      const Metadata = metadata.constructor as new () => GrpcMetadata;
      const told = new Metadata();
      told.set(OFFSET_HEADER, offset);
      call.sendMetadata(told);
    },
  };
}

function headerOf(context: MessageContext): unknown {
  const message = context.getMessage?.();
  const headers =
    message?.properties?.headers ??
    message?.headers ??
    context.getPacket?.()?.properties?.userProperties;
  const value =
    headers === undefined || headers === null
      ? context.getHeaders?.()?.get?.(OFFSET_HEADER)
      : headers[OFFSET_HEADER];
  return Buffer.isBuffer(value) ? value.toString() : value;
}
