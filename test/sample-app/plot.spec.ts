import { beforeAll, describe, expect, it } from 'vitest';

interface Scale {
  decadesOf(points: readonly Point[]): number;
  heightOf(ms: number, decades: number): number;
  axisOf(
    points: readonly Point[],
    now: number,
  ): {
    shown: (Point & { at: number })[];
    pauses: { seconds: number; at: number }[];
  };
}

interface Point {
  readonly second: number;
  readonly p99: number | null;
}

let scale: Scale;

/** A file of the page, as the browser gets it: not compiled, and without types. */
beforeAll(async () => {
  const file = '../../sample-app/gateway/page/plot.scale.js';
  scale = (await import(new URL(file, import.meta.url).href)) as Scale;
});

const point = (second: number, p99: number | null = 1): Point => ({
  second,
  p99,
});

describe('Sample app: latency plot', () => {
  it('shows data of an hour ago, and skips the silence', () => {
    const points = [point(1_000), point(1_001), point(4_600), point(4_601)];
    const { shown, pauses } = scale.axisOf(points, 8_200);
    expect(shown.map(({ second }) => second)).toEqual([
      1_000, 1_001, 4_600, 4_601,
    ]);
    const places = shown.map(({ at }) => at);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(Math.min(...places)).toBeGreaterThanOrEqual(0);
    expect(pauses.map(({ seconds }) => seconds)).toEqual([3_599, 3_599]);
  });

  it('shows the last two minutes of a continuous stream', () => {
    const points = Array.from({ length: 500 }, (_, index) => point(index));
    const { shown } = scale.axisOf(points, 500);
    expect(shown.map(({ second }) => second)).toEqual(
      Array.from({ length: 120 }, (_, index) => index + 380),
    );
  });

  it('keeps its scale', () => {
    expect(scale.decadesOf([])).toBe(2);
    expect(scale.decadesOf([point(1, 99)])).toBe(3);
    expect(scale.decadesOf([point(1, null)])).toBe(2);
    expect(scale.decadesOf([point(1, 3_600_000)])).toBe(5);
    expect(scale.heightOf(3_600_000, 5)).toBe(1);
    expect(scale.heightOf(0, 5)).toBe(0);
  });
});
