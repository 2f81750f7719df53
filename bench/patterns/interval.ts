export interface Interval {
  low: number;
  high: number;
}

/**
 * The Clopper-Pearson interval of a share, exact for independent trials: every share in it would show so many
 * successes, or more extreme ones, with a probability of at least (1 - confidence) / 2 on either side.
 */
export function clopperPearson(successes: number, trials: number, confidence = 0.95): Interval {
  if (trials === 0) return { low: 0, high: 1 };
  const tail = (1 - confidence) / 2;
  return {
    // P(X >= successes | low) = tail, P(X <= successes | high) = tail
    low: successes === 0 ? 0 : bisect((p) => 1 - atMost(successes - 1, trials, p) < tail),
    high: successes === trials ? 1 : bisect((p) => atMost(successes, trials, p) > tail),
  };
}

/** The edge between the shares for which it holds (below) and those for which it does not (above). */
function bisect(holds: (p: number) => boolean): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X <= k) of the binomial distribution, summed over the shorter tail and in logarithms: n may be large. */
function atMost(k: number, n: number, p: number): number {
  if (p <= 0) return 1;
  if (p >= 1) return k >= n ? 1 : 0;
  if (k >= n) return 1;
  return k < n / 2 ? sum(0, k, n, p) : 1 - sum(k + 1, n, n, p);
}

function sum(from: number, to: number, n: number, p: number): number {
  const odds = Math.log(p) - Math.log1p(-p);
  let logTerm = n * Math.log1p(-p);
  for (let i = 1; i <= from; i++) logTerm += Math.log(n - i + 1) - Math.log(i) + odds;
  let total = 0;
  for (let i = from; i <= to; i++) {
    total += Math.exp(logTerm);
    logTerm += Math.log(n - i) - Math.log(i + 1) + odds;
  }
  return Math.min(1, total);
}
