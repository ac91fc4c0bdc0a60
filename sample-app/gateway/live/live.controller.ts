import {
  Controller,
  Get,
  Res,
  ServiceUnavailableException,
} from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { LiveFeed } from './live.feed.js';

/** Seconds after which a place may be free. */
const RETRY_AFTER = 5;

@Controller()
export class LiveController {
  constructor(private readonly feed: LiveFeed) {}

  /** Server-sent events, written by hand, so that slow readers are noticed; 503 for too many. */
  @Get('events')
  events(@Res() response: ServerResponse): void {
    if (this.feed.isFull) {
      response.setHeader('retry-after', RETRY_AFTER);
      throw new ServiceUnavailableException(
        'Too many pages are open. Close one, or wait until another one is closed.',
      );
    }
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
    });
    this.feed.add(response);
  }

  /** Number of open pages: the demo's audience pauses while there is none. */
  @Get('viewers')
  viewers(): { viewers: number } {
    return { viewers: this.feed.viewers };
  }
}
