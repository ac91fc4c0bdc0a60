import { Controller, Get, NotFoundException, Param, Res } from '@nestjs/common';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { extname } from 'node:path';
import { ServicesWatch } from './services.watch.js';

const FILES = new URL('../page/', import.meta.url);

/** The only files that are served. */
const NAMES: ReadonlySet<string> = new Set([
  'index.html',
  'icon.svg',
  'actions.css',
  'base.css',
  'lists.css',
  'picture.css',
  'plot.css',
  'services.css',
  'actions.js',
  'caches.js',
  'copies.js',
  'dom.js',
  'feed.js',
  'main.js',
  'messages.js',
  'picture.js',
  'plot.js',
  'plot.scale.js',
  'services.js',
]);

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.js': 'text/javascript',
};

/** Serves the files of the live page, unchanged. */
@Controller()
export class PageController {
  constructor(private readonly services: ServicesWatch) {}

  @Get()
  index(@Res() response: ServerResponse): Promise<void> {
    // The services answer while the browser loads the page.
    this.services.lookAhead();
    return this.file('index.html', response);
  }

  @Get('page/:name')
  async file(
    @Param('name') name: string,
    @Res() response: ServerResponse,
  ): Promise<void> {
    if (!NAMES.has(name)) throw new NotFoundException(`No ${name}.`);
    const content = await readFile(new URL(name, FILES));
    response.writeHead(200, {
      'content-type': `${TYPES[extname(name)]}; charset=utf-8`,
      'cache-control': 'no-cache',
    });
    response.end(content);
  }
}
