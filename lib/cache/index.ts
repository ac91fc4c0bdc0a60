export * from './bind-cache.js';
export * from './bindable.cache.js';
