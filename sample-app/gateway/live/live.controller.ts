import { Controller, Get, Res } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { LiveFeed } from './live.feed.js';

@Controller()
export class LiveController {
  constructor(private readonly feed: LiveFeed) {}

  /** Server-sent events, written by hand, so that slow readers are noticed. */
  @Get('events')
  events(@Res() response: ServerResponse): void {
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
