import { describe, expect, it } from 'vitest';
import { resolveNearCache } from '../../lib/cache/index.js';
import { InvalidationConfigurationError } from '../../lib/errors/index.js';
import {
  CHECKED_JSON,
  json,
  structured,
  TypedSerializer,
} from '../../lib/cache/shared/serializers.js';

const LONGEST = 2_147_483_647;

function problemsOf(options: unknown): string[] {
  try {
    resolveNearCache(options as object);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidationConfigurationError)) throw error;
    const [what, ...lines] = error.message.split('\n');
    const problems = lines.map((line) => line.trim().replace(/^- /, ''));
    return what === 'A near cache cannot be made:' ? problems : [error.message];
  }
}

const MAX = 'max: it is not valid. Give a count above 0.';
const TIME = 'it is not valid. Give milliseconds, or a time such as "5m".';
const SHARE = 'ttlJitter: it is not valid. Give 0 to 1.';
const ISOLATE = 'isolate: it is not valid. Give "freeze", "clone" or false.';
const BOUND =
  'maxStaleness: it is not valid. Give 1000 milliseconds or more, or a time such as "2s"; or 0.';
const WHEN_STALE =
  'whenStale: it is not valid. Give "bypass"; or "fail", with maxStaleness, which says when.';
const DEPENDS_ON = 'dependsOn: it is not valid. Give a function of the value.';
const PREFIX = 'l2.keyPrefix: it is not valid. Give a text, or leave it out.';
const SERIALIZER =
  'l2.serializer: it is not valid. Give an object with serialize() and deserialize().';
const TYPE =
  'l2.type: it is not valid. Give a function that returns a class, such as () => User, and no serializer beside it.';
const STRICT = 'l2.strict: it is not valid. Give true or false.';

const SINGLE_FLIGHT = 'l2.singleFlight: it is not valid. Give true or false.';
const REFRESH = `refreshAfter: ${TIME} It must be less than ttl.`;
const CONCURRENCY = 'load.concurrency: it is not valid. Give a count above 0.';
const REPLICA =
  'replica: it is not valid. Give postgresReplica(pool, { primary }), or an object with applied() and isBefore().';

const PORT = { applied: async () => '1', isBefore: () => false };

class User {}

describe('resolveNearCache()', () => {
  it('has defaults for all options', () => {
    expect(resolveNearCache({})).toEqual({
      max: 10_000,
      ttl: 300_000,
      ttlJitter: 0.1,
      negativeTtl: 0,
      refreshAfter: null,
      isolate: false,
      dependsOn: null,
      l2: null,
      maxStaleness: 0,
      whenStale: 'bypass',
      replica: null,
      primary: null,
      load: null,
    });
    expect(resolveNearCache({ load: { concurrency: 4 } }).load).toEqual({
      concurrency: 4,
      maxWait: 10_000,
    });
    expect(resolveNearCache({ l2: false }).l2).toBeNull();
    expect(resolveNearCache({ l2: {} }).l2).toEqual({
      ttl: 3_600_000,
      timeout: 250,
      connection: undefined,
      keyPrefix: undefined,
      serializer: CHECKED_JSON,
      type: undefined,
      strict: false,
      encrypt: false,
      singleFlight: false,
    });
  });

  it('takes times as texts', () => {
    const load = { concurrency: 1, maxWait: '1s' } as const;
    const times = {
      ttl: '5m',
      negativeTtl: '2s',
      maxStaleness: '3s',
      refreshAfter: '1m',
      load,
    } as const;
    const l2 = { ttl: '1h', timeout: '1s' } as const;
    expect(resolveNearCache({ ...times, l2 })).toMatchObject({
      ttl: 300_000,
      negativeTtl: 2_000,
      maxStaleness: 3_000,
      refreshAfter: 60_000,
      load: { maxWait: 1_000 },
      l2: { ttl: 3_600_000, timeout: 1_000 },
    });
  });

  it.each([
    { max: 1, ttl: 1, negativeTtl: 1, ttlJitter: 0 },
    { max: LONGEST, ttl: LONGEST, negativeTtl: LONGEST, ttlJitter: 1 },
    { negativeTtl: 0, isolate: 'clone', dependsOn: () => [] },
    { isolate: 'freeze' },
    { isolate: false },
    { maxStaleness: 0, whenStale: 'bypass' },
    { maxStaleness: 1_000, whenStale: 'fail' },
    { maxStaleness: LONGEST },
    { l2: { ttl: 1, timeout: 1, keyPrefix: 'a', strict: true } },
    { l2: { ttl: LONGEST, timeout: LONGEST, serializer: json() } },
    { l2: { type: () => User, connection: 'redis://h' } },
  ])('accepts %j', (options) => {
    expect(problemsOf(options)).toEqual([]);
  });

  it.each<[unknown, string[]]>([
    [{ max: 0 }, [MAX]],
    [{ max: 1.5 }, [MAX]],
    [{ max: '7' }, [MAX]],
    [{ max: LONGEST + 1 }, [MAX]],
    [{ ttl: 0 }, [`ttl: ${TIME}`]],
    [{ ttl: 'soon' }, [`ttl: ${TIME}`]],
    [{ ttlJitter: -0.1 }, [SHARE]],
    [{ ttlJitter: 1.1 }, [SHARE]],
    [{ ttlJitter: Number.NaN }, [SHARE]],
    [{ negativeTtl: -1 }, [`negativeTtl: ${TIME} Or 0.`]],
    [{ negativeTtl: null }, [`negativeTtl: ${TIME} Or 0.`]],
    [{ maxStaleness: 999 }, [BOUND]],
    [{ maxStaleness: 1_000.5 }, [BOUND]],
    [{ maxStaleness: LONGEST + 1 }, [BOUND]],
    [{ maxStaleness: null }, [BOUND]],
    [{ whenStale: 'fail' }, [WHEN_STALE]],
    [{ maxStaleness: 1_000, whenStale: 'serve' }, [WHEN_STALE]],
    [{ isolate: 'copy' }, [ISOLATE]],
    [{ isolate: true }, [ISOLATE]],
    [{ isolate: 'toString' }, [ISOLATE]],
    [{ dependsOn: [] }, [DEPENDS_ON]],
    [
      { l2: { ttl: 0, timeout: 0 } },
      [`l2.ttl: ${TIME}`, `l2.timeout: ${TIME}`],
    ],
    [{ l2: { keyPrefix: '' } }, [PREFIX]],
    [{ l2: { keyPrefix: 7 } }, [PREFIX]],
    [{ l2: { serializer: null } }, [SERIALIZER]],
    [{ l2: { serializer: { serialize: () => '' } } }, [SERIALIZER]],
    [{ l2: { serializer: { deserialize: () => '' } } }, [SERIALIZER]],
    [{ l2: { type: User.name } }, [TYPE]],
    [{ l2: { type: () => User, serializer: structured() } }, [TYPE]],
    [{ l2: { strict: 1 } }, [STRICT]],
    [{ l2: { strict: null } }, [STRICT]],
    [{ l2: { singleFlight: 1 } }, [SINGLE_FLIGHT]],
    [{ ttl: 1_000, refreshAfter: 1_000 }, [REFRESH]],
    [{ refreshAfter: 0 }, [REFRESH]],
    [{ ttlJitter: [] }, [SHARE]],
    [{ isolate: Object.create(null) }, [ISOLATE]],
    [{ replica: {} }, [REPLICA]],
    [{ replica: { ...PORT, kind: 5 } }, [REPLICA]],
    [{ replica: { ...PORT, current: 5 } }, [REPLICA]],
    [{ replica: { ...PORT, onConnect: 5 } }, [REPLICA]],
    [{ load: {} }, [CONCURRENCY]],
    [
      { load: { concurrency: 1.5, maxWait: 0 } },
      [CONCURRENCY, `load.maxWait: ${TIME}`],
    ],
  ])('rejects %j, and says what to give', (options, problems) => {
    expect(problemsOf(options)).toEqual(problems);
  });

  it('rejects a connection that is none', () => {
    const [problem] = problemsOf({ l2: { connection: 7 } });
    expect(problem).toMatch(/^l2\.connection: it is not valid\. .*redis:/);
  });

  it('names all problems at once', () => {
    const bad = { max: 0, isolate: 1, l2: { ttl: 0, strict: 1 } };
    expect(problemsOf(bad)).toEqual([MAX, ISOLATE, `l2.ttl: ${TIME}`, STRICT]);
  });

  it('serializes by the class of the option type', () => {
    const options = resolveNearCache({ l2: { type: () => User } });
    expect(options.l2!.serializer).toBeInstanceOf(TypedSerializer);
  });
});
