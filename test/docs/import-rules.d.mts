export function layout(): { ordered: string[]; leaves: string[] };
export function importRules(): unknown[];
