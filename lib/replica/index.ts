export * from './mark-position.js';
export * from './marks.js';
export * from './read-position.js';
export * from './replica-marks.js';
export * from './replica.js';
export * from './replicas.js';
