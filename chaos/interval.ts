/**
 * The exact 95 % interval of Clopper and Pearson for a share of which `successes` out of `trials` were seen: the shares
 * under which what was seen, or anything further away, is not rarer than 2.5 % on either side.
 */
export function clopperPearson(successes: number, trials: number, alpha = 0.05): [low: number, high: number] {
  if (trials === 0) return [0, 1];
  const low = successes === 0 ? 0 : shareWhere((p) => 1 - atMost(successes - 1, trials, p) - alpha / 2);
  const high = successes === trials ? 1 : shareWhere((p) => alpha / 2 - atMost(successes, trials, p));
  return [low, high];
}

/** The root of a function that grows from 0 to 1, by halving. */
function shareWhere(grows: (share: number) => number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (grows(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X <= k) of a binomial X. */
function atMost(k: number, trials: number, p: number): number {
  if (p <= 0) return 1;
  if (p >= 1) return k >= trials ? 1 : 0;
  let logTerm = trials * Math.log1p(-p);
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= k; i++) {
    logTerm += Math.log((trials - i + 1) / i) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}

/** The smallest value that the share `q` of all values does not exceed (nearest rank). NaN for none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}
