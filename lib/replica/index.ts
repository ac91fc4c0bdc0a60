export { MarkPosition } from './mark-position.js';
export { Marks } from './marks.js';
export { withReadPosition } from './read-position.js';
export { ReplicaMarks } from './replica-marks.js';
export { Replicas } from './replicas.js';
export { EVERYTHING, type Replica } from './replica.js';
