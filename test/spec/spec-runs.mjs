/**
 * The runs of a model: those that hold, and those with a fault, which must be violated.
 *
 * @param {Record<'holds' | 'coherent' | 'safetyFaults' | 'coherentFaults', string[][]>} groups
 * names and defines
 * @returns {import('./spec-model.js').SpecRun[]}
 */
export function runsOf({ holds, coherent, safetyFaults, coherentFaults }) {
  return [
    ...holds.map((one) => run(one, 'safety', 'holds')),
    ...coherent.map((one) => run(one, 'coherent', 'holds')),
    ...safetyFaults.map((one) => run(one, 'safety', 'violated')),
    ...coherentFaults.map((one) => run(one, 'coherent', 'violated')),
  ];
}

/**
 * @param {string[]} given name and defines
 * @param {string} property
 * @param {'holds' | 'violated'} expected
 * @returns {import('./spec-model.js').SpecRun}
 */
function run([name = '', defines = ''], property, expected) {
  const all = defines.split(' ');
  if (property !== 'safety') all.push('LIVENESS');
  return { name, defines: all, property, expected };
}
