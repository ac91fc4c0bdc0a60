import type { ConfigService } from '@nestjs/config';
import type { CacheInvalidationOptions } from 'nestjs-cache-invalidation';

/**
 * The option `regions`, from `SAMPLE_APP_REGION=eu` and `SAMPLE_APP_SOURCES=us=redis://…`,
 * with spaces between several sources; none without them.
 */
export function regionsFrom(
  config: ConfigService,
): CacheInvalidationOptions['regions'] {
  const local = config.get<string>('SAMPLE_APP_REGION');
  if (!local) return undefined;
  const given = config.get<string>('SAMPLE_APP_SOURCES', '').split(' ');
  const sources = given.flatMap((text) => {
    const [, name, connection] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    return name === undefined ? [] : [[name, { connection }] as const];
  });
  return { local, sources: Object.fromEntries(sources) };
}
