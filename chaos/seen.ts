import { readFile, writeFile } from 'node:fs/promises';
import { createLedger } from './ledger.ts';
import type { Disturbance, Fact } from './ledger.ts';
import type { Plan } from './plan.ts';
import type { Run } from './run.ts';

/** All that was seen of one run: it can be judged again when the judge has changed. */
export type Seen = Run & { commit: string };

export async function writeSeen(file: string, { ledger, plan, ...rest }: Seen): Promise<void> {
  const { facts, disturbances } = ledger;
  await writeFile(file, JSON.stringify({ ...rest, names: plan.names, facts, disturbances }));
}

export async function readSeen(file: string, plan: Plan): Promise<Seen> {
  const { names, facts, disturbances, ...rest } = JSON.parse(await readFile(file, 'utf8')) as Omit<
    Seen,
    'plan' | 'ledger'
  > & { names: string[]; facts: Fact[]; disturbances: Disturbance[] };
  const lasting = disturbances.map((one) => ({ ...one, to: one.to ?? Infinity }));
  return { ...rest, plan: { ...plan, names }, ledger: { ...createLedger(), facts, disturbances: lasting } };
}
