import { Controller, Get, NotFoundException, Param, Res } from '@nestjs/common';
import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Where the package lies, whether this runs as it is written or from `dist`. */
const PACKAGE = join(
  createRequire(import.meta.url).resolve(
    'nestjs-cache-invalidation/package.json',
  ),
  '..',
);

/** All that there is: what is not named here is not served. */
const PAGES: Readonly<Record<string, string>> = {
  readme: 'README.md',
  guide: 'docs/guide.md',
  guarantees: 'docs/guarantees.md',
  operations: 'docs/operations.md',
};

/** The package's own pages, as they are written: the live page links to them. */
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
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'self'",
    });
    response.end(content);
  }
}
