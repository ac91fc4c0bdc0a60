import type {
  ValidationArguments,
  ValidationError,
  ValidatorOptions,
} from 'class-validator';
import { ValidateBy, Validator } from '../common/index.js';
import type { ConfigurationProblem } from './configuration.error.js';

/**
 * Refuses an option unless `isRight` holds of its value.
 *
 * @param fix a value that would do
 * @internal
 */
export function OptionRule(
  isRight: (value: unknown, options: object) => boolean,
  fix: string,
): PropertyDecorator {
  const validate = (value: unknown, args?: ValidationArguments): boolean =>
    isRight(value, args?.object ?? {});
  return ValidateBy(
    { name: 'optionRule', validator: { validate } },
    { message: fix },
  );
}

/**
 * Checks an options object by its decorators, whose messages are the fixes.
 *
 * @param describe words the fault of one option, and may name the field in it
 * @returns one problem for each bad option
 * @internal
 */
export function problemsIn(
  options: object,
  describe: (
    fix: string,
    error: ValidationError,
  ) => Omit<ConfigurationProblem, 'field'> & Partial<ConfigurationProblem>,
  validator: ValidatorOptions = {},
): ConfigurationProblem[] {
  const errors = new Validator().validateSync(options, {
    stopAtFirstError: true,
    ...validator,
  });
  return errors.map((error) => {
    const [fix = ''] = Object.values(error.constraints ?? {});
    return { field: error.property, ...describe(fix, error) };
  });
}
