import { Test } from '@nestjs/testing';
import { CacheInvalidationModule } from 'nestjs-cache-invalidation';
import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
} from 'vitest';
import { GatewayModule } from '../../sample-app/gateway/gateway.module.js';
import { InvalidationSources } from '../../lib/observability/index.js';
import { InvalidationTransport } from '../../lib/transport/index.js';
import { uniqueChannel } from '../support/app.js';
import { hasPromtool, promtool } from '../support/promtool.js';
import { Scrape } from '../support/scrape.js';
import {
  alertQueries,
  dashboardQueries,
  folder,
  namesIn,
  read,
  strangersIn,
  variableQueries,
} from './queries.js';

const alerts = alertQueries();
const panels = dashboardQueries();

/**
 * Metrics of the sample app's gateway, scraped over HTTP as by Prometheus, with the
 * lines of regions and of other sources, which it has not.
 */
let scrape: Scrape;

async function linesOfSources(): Promise<string> {
  const connection = inject('redisUrl');
  const registry = new Registry();
  const module = await Test.createTestingModule({
    imports: [
      CacheInvalidationModule.forRoot({
        connection,
        channel: uniqueChannel(),
        serviceName: 'regional',
        regions: {
          local: 'eu',
          sources: { us: { connection, channel: uniqueChannel() } },
        },
      }),
      CacheInvalidationPrometheusModule.forRoot({ registry }),
    ],
  }).compile();
  module.useLogger(false);
  const record = module
    .get(InvalidationTransport)
    .relayRecord('postgres:main', '');
  module.get(InvalidationSources).add({
    name: 'postgres:main',
    causes: ['slot'],
    record,
    period: 1_000,
    status: () => ({
      state: 'holder',
      holderSeen: 0,
      lagBytes: 0,
      lagMs: 0,
      waiting: 0,
      retainedBytes: 0,
      spareBytes: 0,
      transactions: 0,
      rows: 0,
      widened: {},
    }),
  });
  await module.init();
  const lines = (await registry.metrics()).split('\n');
  await module.close();
  return lines.filter((line) => /^\w+_(relay|source_)/.test(line)).join('\n');
}

beforeAll(async () => {
  process.env['REDIS_URL'] = inject('redisUrl');
  process.env['CACHE_INVALIDATION_CHANNEL'] = uniqueChannel();
  const module = await Test.createTestingModule({
    imports: [GatewayModule],
  }).compile();
  const app = module.createNestApplication({
    logger: false,
    forceCloseConnections: true,
  });
  await app.listen(0, '127.0.0.1');
  const response = await fetch(`${await app.getUrl()}/metrics`);
  scrape = new Scrape((await response.text()) + (await linesOfSources()));
  await app.close();
});

afterAll(() => {
  delete process.env['REDIS_URL'];
  delete process.env['CACHE_INVALIDATION_CHANNEL'];
});

describe('Metrics of the sample app', () => {
  it.each([...alerts, ...panels])(
    '%s: queries only existing metrics',
    (_, query) => {
      expect(namesIn(query).length).toBeGreaterThan(0);
      expect(strangersIn(query, scrape)).toEqual([]);
    },
  );

  it('exist for the variables of the dashboard', () => {
    expect(variableQueries().flatMap(namesIn)).toHaveLength(2);
    for (const query of variableQueries()) {
      expect(strangersIn(query, scrape)).toEqual([]);
    }
  });

  it('are all on the dashboard', () => {
    const shown = new Set(
      panels
        .flatMap(([, query]) => namesIn(query))
        .map((name) => name.replace(/_(bucket|count|sum)$/, '')),
    );
    expect(scrape.names.filter((name) => !shown.has(name))).toEqual([]);
    expect(scrape.names).toHaveLength(44);
  });

  it.each([
    ['a metric', 'rate(cache_invalidation_publish_total[5m])', 'publish_total'],
    ['a label', 'cache_invalidation_status{status="live"}', 'status'],
    ['a value', 'cache_invalidation_status{state=~"live|dead"}', 'dead'],
    ['a group', 'sum by (entity) (cache_invalidation_outbox_size)', 'entity'],
    ['a bucket', 'cache_invalidation_outbox_size_bucket', 'size_bucket'],
  ])('%s that does not exist is found', (_, query, stranger) => {
    const found = strangersIn(query, scrape);
    expect(found).toEqual([expect.stringContaining(stranger)]);
  });
});

describe('Alerts', () => {
  it('are those with a runbook', () => {
    expect(alerts.map(([name]) => name)).toEqual([
      'CacheInvalidationLatencyHigh',
      'CacheInvalidationPublishErrors',
      'CacheInvalidationProcessingErrors',
      'CacheInvalidationDisconnected',
      'CacheInvalidationStale',
      'CacheInvalidationOutboxGrowing',
      'CacheInvalidationWidening',
      'CacheInvalidationRegionBlind',
      'CacheInvalidationRelayAbsent',
      'CacheInvalidationSourceRetaining',
      'CacheInvalidationSourceAbsent',
      'CacheInvalidationSourceLagging',
    ]);
    const rules = read('alerts.yml');
    for (const [name] of alerts) {
      const runbook = `docs/operations.md#${name.toLowerCase()}`;
      expect(rules).toContain(`runbook_url: ${runbook}\n`);
    }
  });

  it.each(alerts)(
    '%s has a test where it fires and one where it does not',
    (name) => {
      const tries = read('alerts.test.yml')
        .split(`alertname: ${name}\n`)
        .slice(1);
      const fires = (test: string) => !/^ +exp_alerts: \[\]/.test(test);
      expect(tries.some(fires)).toBe(true);
      expect(tries.every(fires)).toBe(false);
    },
  );
});

describe.runIf(hasPromtool)('promtool', () => {
  it('accepts the rules', () => {
    const { ok, said } = promtool(['check', 'rules', 'alerts.yml'], {
      cwd: folder,
    });
    expect(said).toContain(`${alerts.length} rules found`);
    expect(ok).toBe(true);
  });

  it('passes the tests of all alerts', () => {
    const { ok, said } = promtool(['test', 'rules', 'alerts.test.yml'], {
      cwd: folder,
    });
    expect(said).toContain('SUCCESS');
    expect(ok).toBe(true);
  });

  it('accepts the queries of the dashboard', () => {
    const at = mkdtempSync(join(tmpdir(), 'dashboard-'));
    onTestFinished(() => rmSync(at, { recursive: true }));
    const check = (queries: string[]) => {
      const rules = queries.map((query, index) => ({
        record: `query:${index}`,
        expr: query.replaceAll('$__rate_interval', '5m'),
      }));
      const file = join(at, 'rules.yml');
      // JSON is valid YAML.
      writeFileSync(
        file,
        JSON.stringify({ groups: [{ name: 'dashboard', rules }] }),
      );
      return promtool(['check', 'rules', file]);
    };
    expect(check(panels.map(([, query]) => query)).said).toContain('SUCCESS');
    expect(check(['sum by (cache_invalidation_status']).ok).toBe(false);
  });
});
