const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A size in a readable unit: `512 B`, `1.2 MiB`. @internal */
export function showBytes(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size.toFixed(0) : size.toFixed(1)} ${UNITS[unit]}`;
}
