export * from './outbox-name.js';
export * from './outbox-sql.js';
export * from './trigger-plan.js';
export * from './trigger-state.js';
