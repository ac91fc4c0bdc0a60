import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { CacheInvalidationPostgresOptions } from './postgres.options.js';

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<CacheInvalidationPostgresOptions>()
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCacheInvalidationPostgresOptions')
  .build();
