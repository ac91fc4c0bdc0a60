export * from './offset.carrier.js';
export * from './read-your-writes.interceptor.js';
