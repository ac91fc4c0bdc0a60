import { readdirSync } from 'node:fs';

/** @returns {Promise<import('./spec-model.js').SpecModel[]>} the models of every *.model.mjs */
export async function loadModels() {
  const files = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.model.mjs'))
    .toSorted();
  const modules = await Promise.all(files.map((name) => import(`./${name}`)));
  return modules.flatMap((module) => Object.values(module));
}
