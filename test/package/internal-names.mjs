// Names tagged @internal that are visible in the built declarations.
import { join } from 'node:path';
import ts from 'typescript';

/**
 * @param files declarations of the entry points
 * @returns names such as `InvalidationStats.totals`, in order, each once
 */
export function internalNames(files) {
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const found = files.flatMap((file) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file));
    return checker
      .getExportsOfModule(module)
      .map((each) =>
        each.flags & ts.SymbolFlags.Alias
          ? checker.getAliasedSymbol(each)
          : each,
      )
      .flatMap(internalOf);
  });
  return [...new Set(found)].toSorted((a, b) => a.localeCompare(b));
}

/** Declarations of the entry points in a built folder. */
export function entryDeclarations(manifest, folder) {
  return Object.keys(manifest.exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => join(folder, entry, 'index.d.ts'));
}

function internalOf(symbol) {
  if (isInternal(symbol)) return [symbol.name];
  return [symbol.members, symbol.exports]
    .flatMap((members) => [...(members?.values() ?? [])])
    .filter(isInternal)
    .map((member) =>
      member.name === ts.InternalSymbolName.Constructor
        ? `new ${symbol.name}`
        : `${symbol.name}.${member.name}`,
    );
}

function isInternal({ declarations = [] }) {
  return declarations.some((each) =>
    ts.getJSDocTags(each).some(({ tagName }) => tagName.text === 'internal'),
  );
}
