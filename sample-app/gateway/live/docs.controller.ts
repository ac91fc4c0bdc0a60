import { Controller, Get, NotFoundException, Param, Res } from '@nestjs/common';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Root of the package, from the sources as from `dist`. */
const PACKAGE = join(
  createRequire(import.meta.url).resolve(
    'nestjs-cache-invalidation/package.json',
  ),
  '..',
);

/** The only pages that are served. */
const PAGES: Readonly<Record<string, string>> = {
  readme: 'README.md',
  guide: 'docs/guide.md',
  guarantees: 'docs/guarantees.md',
  operations: 'docs/operations.md',
};

/** Serves pages of the package as plain text: the live page links to them. */
@Controller('docs')
export class DocsController {
  @Get(':page')
  async page(
    @Param('page') page: string,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const file = Object.hasOwn(PAGES, page) ? PAGES[page] : undefined;
    if (file === undefined) throw new NotFoundException(`No ${page}.`);
    const content = await readFile(join(PACKAGE, file));
    response.writeHead(200, {
      'content-type': 'text/plain; charset=utf-8',
    });
    response.end(content);
  }
}
