import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../docs/markdown.js';

function found(expression: RegExp): string {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const [, rules] = expression.exec(page) ?? [];
  if (rules === undefined) throw new Error(`Not in the page: ${expression}`);
  return rules;
}

/** The commands that docs/operations.md grants to the user of a service. */
export function documentedCommands(): string[] {
  const rules = found(/-@all (\\[^~]+)'~/);
  return rules.replaceAll(/[\\']/g, '').trim().split(/\s+/);
}

/** The rule that it adds for near caches, with another prefix of their keys. */
export function documentedSelector(prefix: string): string {
  return found(/'(\(\+get [^)]+\))'/).replace('near:user-service', prefix);
}
