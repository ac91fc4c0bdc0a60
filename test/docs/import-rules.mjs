// Makes the linter's import rules from the list of folders in
// docs/architecture.md. With --write it writes them to .oxlintrc.imports.json.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const FILE = new URL('.oxlintrc.imports.json', root);

const OUTSIDE =
  '^(\\.\\./)+(dist|lib|sample-app|test)/|^nestjs-cache-invalidation(/|$)';
const NO_IOREDIS = {
  regex: '^ioredis(/|$)',
  message: 'Only lib/transport/redis and lib/cli know ioredis.',
};
const NO_NEST = {
  regex: '^@nestjs/',
  message:
    'lib/message and the folders above it in docs/architecture.md do not know Nest.',
};

/** The folders of docs/architecture.md: in order, and those that nothing imports. */
export function layout() {
  const page = readFileSync(new URL('docs/architecture.md', root), 'utf8');
  const [, ordered = '', leaves = ''] = page.split(/^\| folder .*$/m);
  return { ordered: foldersIn(ordered), leaves: foldersIn(leaves) };
}

function foldersIn(text) {
  return [...text.matchAll(/^\| `([a-z]+)`/gm)].map(([, folder]) => folder);
}

/** The overrides of the linter's configuration. */
export function importRules() {
  const { ordered, leaves } = layout();
  const all = [...ordered, ...leaves];
  const rules = all.map((folder) => {
    const isLeaf = leaves.includes(folder);
    const later = isLeaf
      ? leaves.filter((other) => other !== folder)
      : all.slice(all.indexOf(folder) + 1);
    return override(`lib/${folder}/**`, [
      later.length > 0 && {
        regex: `^(\\.\\./)+(${later.join('|')})/`,
        message: `lib/${folder} imports only the folders above it in docs/architecture.md.`,
      },
      {
        group: [
          `../{,../}{${all.join(',')}}/**`,
          `!../{,../}{${all.join(',')}}/index.js`,
        ],
        message: 'Enter another folder by its index.js.',
      },
      nothingAbove(folder === 'testing' ? ['index'] : filesOfModule()),
      folder !== 'cli' && NO_IOREDIS,
      ordered.indexOf(folder) <= ordered.indexOf('message') &&
        !isLeaf &&
        NO_NEST,
    ]);
  });
  const transport = rules[all.indexOf('transport')];
  const redis = patternsOf(transport).filter((rule) => rule !== NO_IOREDIS);
  return [
    override('lib/*.ts', [
      {
        group: ['./*/**', '!./*/index.js'],
        message: 'Enter a folder by its index.js.',
      },
      {
        regex: '^\\.\\./|^nestjs-cache-invalidation(/|$)',
        message: 'Nothing outside lib.',
      },
      NO_IOREDIS,
    ]),
    ...rules,
    override('lib/transport/redis/**', redis),
    ...partsOfPostgres(patternsOf(rules[all.indexOf('postgres')])),
  ];
}

/** The folders of lib/postgres know its own files and the mapping, but not each other. */
function partsOfPostgres(common) {
  const folder = new URL('lib/postgres/', root);
  const parts = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  return parts.map((part) => {
    const others = parts.filter(
      (other) => other !== part && other !== 'mapping',
    );
    return override(`lib/postgres/${part}/**`, [
      ...common,
      {
        regex: `^\\.\\./(${others.join('|')})/`,
        message: `lib/postgres/${part} imports of lib/postgres only its files and the mapping.`,
      },
    ]);
  });
}

/** The files of lib itself, but for the constants, which any folder may import. */
function filesOfModule() {
  return readdirSync(new URL('lib/', root))
    .filter((name) => name.endsWith('.ts') && !name.includes('constants'))
    .map((name) => name.slice(0, -'.ts'.length));
}

function nothingAbove(files) {
  const names = files.join('|').replaceAll('.', '\\.');
  return {
    regex: `^(\\.\\./)+(${names})\\.js$|${OUTSIDE}`,
    message:
      'A folder imports only the constants of lib itself (lib/testing the module and its options, too), and nothing outside lib.',
  };
}

function override(files, patterns) {
  return {
    files: [files],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: patterns.filter(Boolean) },
      ],
    },
  };
}

function patternsOf({ rules }) {
  return rules['no-restricted-imports'][1].patterns;
}

/** The text of .oxlintrc.imports.json. */
export function importRulesFile() {
  return `${JSON.stringify({ overrides: importRules() }, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--write')) writeFileSync(FILE, importRulesFile());
  else process.stdout.write(importRulesFile());
}
