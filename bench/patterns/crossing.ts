export interface CurvePoint {
  rate: number;
  /** Share of successes, 0 to 1. */
  success: number;
}

/** The fault rate at which a curve first falls through a share of successes, linear between the points measured. */
export function rateWhere(points: readonly CurvePoint[], success: number): number | undefined {
  const sorted = points.toSorted((a, b) => a.rate - b.rate);
  for (const [i, point] of sorted.entries()) {
    if (point.success > success) continue;
    const before = sorted[i - 1];
    if (!before) return point.success === success ? point.rate : undefined;
    const share = (before.success - success) / (before.success - point.success);
    return before.rate + share * (point.rate - before.rate);
  }
  return undefined;
}
