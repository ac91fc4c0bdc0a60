export * from '../observability/index.js';
