import { Controller, Get, NotFoundException, Param, Res } from '@nestjs/common';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { ServicesWatch } from './services.watch.js';

const FILES = new URL('../page/', import.meta.url);

/** All that there is: what is not named here is not served. */
const TYPES: Readonly<Record<string, string>> = {
  'index.html': 'text/html',
  'style.css': 'text/css',
  'icon.svg': 'image/svg+xml',
  'main.js': 'text/javascript',
  'actions.js': 'text/javascript',
  'caches.js': 'text/javascript',
  'dom.js': 'text/javascript',
  'feed.js': 'text/javascript',
  'messages.js': 'text/javascript',
  'plot.js': 'text/javascript',
  'services.js': 'text/javascript',
};

/** The page, in plain files: what the browser gets is what is in the folder. */
@Controller()
export class PageController {
  constructor(private readonly services: ServicesWatch) {}

  @Get()
  index(@Res() response: ServerResponse): Promise<void> {
    // They answer while the browser reads the page.
    this.services.lookAhead();
    return this.file('index.html', response);
  }

  @Get('page/:name')
  async file(
    @Param('name') name: string,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
    if (type === undefined) throw new NotFoundException(`No ${name}.`);
    const content = await readFile(new URL(name, FILES));
    response.writeHead(200, {
      'content-type': `${type}; charset=utf-8`,
      'cache-control': 'no-cache',
      // Nothing of it comes from elsewhere.
      'content-security-policy': "default-src 'self'",
    });
    response.end(content);
  }
}
