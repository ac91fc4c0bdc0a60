export const COUNT: number;
export const SEED: number;
export const SIZES: {
  readonly INSTANCES: number;
  readonly CHANGES: number;
  readonly OTHERS: number;
  readonly RESTARTS: number;
  readonly FORGED: number;
};
export function makeTraces(count?: number, seed?: number): string[];
export function readTraces(): string[];
export function writeTraces(): void;
