export * from './offset.carrier.js';
export * from './cached-route.decorator.js';
export * from './read-your-writes.interceptor.js';
