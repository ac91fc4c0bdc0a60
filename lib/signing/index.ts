export * from './entry-signer.js';
export * from './key-ring.js';
export * from './message-signer.js';
export * from './signing.options.js';
