import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { CacheInvalidationModuleOptions } from './cache-invalidation.module-options.js';

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<CacheInvalidationModuleOptions>()
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCacheInvalidationOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({
    ...definition,
    global: isGlobal,
  }))
  .build();
