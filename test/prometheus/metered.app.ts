import { CacheInvalidationPrometheusModule } from 'nestjs-cache-invalidation/prometheus';
import { Registry, type RegistryContentType } from 'prom-client';
import { startApp, type AppOptions, type TestApp } from '../support/app.js';
import { Scrape } from '../support/scrape.js';

export interface MeteredApp extends TestApp {
  readonly registry: Registry<RegistryContentType>;
  scrape(): Promise<Scrape>;
}

/** `startApp()` with the module of metrics beside the library's. */
export async function startMetered({
  registry = new Registry(),
  ...options
}: AppOptions & {
  registry?: Registry<RegistryContentType>;
} = {}): Promise<MeteredApp> {
  const metrics = CacheInvalidationPrometheusModule.forRoot({ registry });
  const app = await startApp({ ...options, imports: [metrics] });
  return { ...app, registry, scrape: () => scrape(registry) };
}

export async function scrape(
  registry: Registry<RegistryContentType>,
): Promise<Scrape> {
  return new Scrape(await registry.metrics());
}
