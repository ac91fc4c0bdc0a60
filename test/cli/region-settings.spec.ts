import { describe, expect, it } from 'vitest';
import { regionsFrom } from '../../lib/cli/region-settings.js';
import { UsageError } from '../../lib/cli/usage.error.js';

const US = 'us=redis://reader:secret@us:6379';

describe('regionsFrom()', () => {
  it('is null without any', () => {
    expect(regionsFrom({}, {})).toBeNull();
  });

  it('reads the regions of the options', () => {
    const regions = regionsFrom(
      {
        region: 'eu',
        source: [US, 'hub=rediss://hub?a=b'],
        transit: ['hub'],
        channel: 'news',
        sentinel: 'a:1',
        name: 'mymaster',
      },
      { CACHE_INVALIDATION_REGION: 'other', CACHE_INVALIDATION_SOURCES: 'x' },
    );
    expect(regions).toMatchObject({
      local: 'eu',
      sources: [
        {
          name: 'us',
          transit: false,
          target: {
            connection: 'redis://reader:secret@us:6379',
            where: 'redis://us:6379',
            channel: 'news',
          },
        },
        {
          name: 'hub',
          transit: true,
          target: { connection: 'rediss://hub?a=b' },
        },
      ],
    });
  });

  it('reads the regions of the environment', () => {
    const env = {
      CACHE_INVALIDATION_REGION: 'eu',
      CACHE_INVALIDATION_SOURCES: ` ${US}\nap=redis://ap `,
    };
    const names = regionsFrom({}, env)!.sources.map(({ name }) => name);
    expect(names).toEqual(['us', 'ap']);
  });

  it.each([
    [{ region: 'eu' }, '--region and --source belong together.'],
    [{ source: [US] }, '--region and --source belong together.'],
    [{ transit: ['us'] }, '--region and --source belong together.'],
    [{ region: 'e u', source: [US] }, '--region is not the name of one.'],
    [{ region: 'eu', source: ['us'] }, '--source is not name=url.'],
    [{ region: 'eu', source: ['us='] }, '--source is not name=url.'],
    [{ region: 'eu', source: ['=redis://a'] }, '--source does not name'],
    [{ region: 'us', source: [US] }, '--source has this region'],
    [{ region: 'eu', source: [US, US] }, 'or one region twice.'],
    [{ region: 'eu', source: ['us=http://secret'] }, 'The URL of Redis cannot'],
    [
      { region: 'eu', source: [US], transit: ['ap'] },
      '--transit names no source.',
    ],
    [
      { region: 'eu', source: [US], serverName: 'a' },
      'the URL of Redis is without TLS',
    ],
  ])('refuses %j, and shows no URL', (values, message) => {
    let error: unknown;
    try {
      regionsFrom(values, {});
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).not.toContain('secret');
  });
});
