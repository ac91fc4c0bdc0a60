/** 15: an instance without proof for longer than the bound of its rights. */
import { RIGHTS_BOUND_MS } from '../rights.mjs';

const BEYOND_MS = 2 * RIGHTS_BOUND_MS;
const FAR_BEYOND_MS = 25_000;

export const rights = [
  {
    name: 'rights-black-hole',
    title: "a reader's link swallows everything for twice the bound of rights",
    async fault(stage) {
      for (const link of stage.readers[0].links) link.blackHole();
      await stage.last(BEYOND_MS, FAR_BEYOND_MS);
    },
    heal: ({ readers }) => readers[0].links.forEach((link) => link.heal()),
  },
  {
    name: 'rights-frozen',
    title:
      'a reader is frozen (SIGSTOP) for twice the bound of rights, half-open meanwhile',
    async fault(stage) {
      const [reader] = stage.readers;
      reader.pause();
      for (const link of reader.links) link.freeze();
      await stage.last(BEYOND_MS, FAR_BEYOND_MS);
    },
    heal: ({ readers }) => readers[0].resume(),
  },
];
