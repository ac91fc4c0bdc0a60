// oxlint-disable-next-line typescript/triple-slash-reference -- nothing imports a file of declarations
/// <reference path="./class-validator.parts.d.ts" />

/*
 * The parts of class-validator that are used here. Its index loads every validator,
 * with the telephone numbers of the world: 3 MiB of an idle application's heap.
 */

/** @internal */
export { Allow } from 'class-validator/cjs/decorator/common/Allow.js';
/** @internal */
export { IsIn } from 'class-validator/cjs/decorator/common/IsIn.js';
/** @internal */
export { IsOptional } from 'class-validator/cjs/decorator/common/IsOptional.js';
/** @internal */
export { ValidateBy } from 'class-validator/cjs/decorator/common/ValidateBy.js';
/** @internal */
export { Max } from 'class-validator/cjs/decorator/number/Max.js';
/** @internal */
export { Min } from 'class-validator/cjs/decorator/number/Min.js';
/** @internal */
export { IsBoolean } from 'class-validator/cjs/decorator/typechecker/IsBoolean.js';
/** @internal */
export { IsInt } from 'class-validator/cjs/decorator/typechecker/IsInt.js';
/** @internal */
export { Validator } from 'class-validator/cjs/validation/Validator.js';
