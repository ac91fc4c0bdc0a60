export * from './class-validator.js';
export * from './deadline.js';
export * from './duration.js';
export * from './environment.js';
export * from './options.js';
export * from './paced.js';
export * from './retry-delay.js';
export * from './role.js';
