import { MUTANTS } from '../mutants.mjs';

let edits = [];

export function initialize(name) {
  edits = MUTANTS[name].edits;
}

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  const own = edits.filter(({ file }) => {
    return url.endsWith(`/dist/lib/${file}`);
  });
  if (own.length === 0) return loaded;
  let source = String(loaded.source);
  for (const { file, from, to } of own) {
    const parts = source.split(from);
    if (parts.length === 1) throw new Error(`${file} has no: ${from}`);
    source = parts.join(to);
  }
  return { ...loaded, source };
}
