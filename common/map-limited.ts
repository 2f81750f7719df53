/** Maps items in order, at most `limit` of them at the same time. The first failure ends the whole. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R> | R,
): Promise<R[]> {
  const results = Array.from<R>({ length: items.length });
  const rest = items.entries();
  const work = async () => {
    for (const [index, item] of rest) results[index] = await map(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, work));
  return results;
}
