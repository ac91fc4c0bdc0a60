export { MarkPosition } from './mark-position.js';
export { Marks } from './marks.js';
export { ReplicaMarks } from './replica-marks.js';
export { Replicas } from './replicas.js';
export { type Replica } from './replica.js';
