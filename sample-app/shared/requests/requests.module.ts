import {
  Module,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { checkHost } from './known-host.js';
import { checkOrigin } from './same-origin.js';
import { checkText, type ParsedRequest } from './usable-text.js';

/** The page loads nothing from elsewhere, and nobody shows it in a frame. */
const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
};

/** Rules for every request, whichever controller handles it. Every service has them. */
@Module({})
export class RequestsModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(check).forRoutes('{*path}');
  }
}

function check(
  request: ParsedRequest,
  response: ServerResponse,
  next: () => void,
): void {
  for (const [name, value] of Object.entries(HEADERS)) {
    response.setHeader(name, value);
  }
  checkHost(request);
  checkOrigin(request);
  checkText(request);
  next();
}
