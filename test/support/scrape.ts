export interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^(?<name>[a-z_0-9]+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A parsed scrape. */
export class Scrape {
  readonly lines: readonly Line[];

  constructor(readonly text: string) {
    this.lines = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(parse);
  }

  /** Names of metrics with or without values: without suffixes such as `_bucket`. */
  get names(): string[] {
    return [...this.text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
  }

  /**
   * The only value under this name with these labels. @throws if there is none,
   * or several
   */
  value(name: string, labels: Record<string, string> = {}): number {
    const found = this.lines.filter(
      (line) =>
        line.name === `cache_invalidation_${name}` &&
        Object.entries(labels).every(([key, of]) => line.labels[key] === of),
    );
    if (found.length !== 1) {
      throw new Error(
        `${found.length} of ${name} ${JSON.stringify(labels)} in:\n${this.text}`,
      );
    }
    return found[0]!.value;
  }
}

function parse(line: string): Line {
  const match = LINE.exec(line);
  if (match === null) throw new Error(`Not a line of a scrape: ${line}`);
  const { name = '', labels = '', value = '' } = match.groups!;
  return {
    name,
    labels: Object.fromEntries(
      [...labels.matchAll(LABEL)].map(([, key, of]) => [key, of]),
    ),
    value: value === '+Inf' ? Infinity : Number(value),
  };
}
