/**
 * Whether a text is of that pattern: `*` stands for any characters or none, `?` for one. Takes time in proportion to
 * both lengths, whatever the pattern: clients write these.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let [p, t] = [0, 0];
  /** The last star, and where what follows it was last tried. */
  let star: { p: number; t: number } | undefined;
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = { p: p + 1, t };
      p += 1;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p += 1;
      t += 1;
    } else if (star) {
      star.t += 1;
      ({ p, t } = star);
    } else return false;
  }
  return /^\**$/.test(pattern.slice(p));
}
