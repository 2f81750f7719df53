/** Checks the harness: `npm run mutations [-- NAME…]` breaks Perdure on purpose, and every break has to be noticed. */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../test/support/temporal.ts';
import { INVARIANTS } from './promises.ts';
import { MUTATIONS } from './mutations.ts';
import type { Mutation } from './mutations.ts';
import { PRODUCT_FOLDERS } from './stand.ts';

const HELP = `Usage: npm run mutations [-- NAME…]

Takes one protection after the other out of a copy of Perdure's code and runs the fault harness against it, which has to
exit 1 with the invariant that is named. All of them without a name. Its row in bench/MUTATIONS.md is
written anew.

${MUTATIONS.map(({ name, what }) => `  ${name.padEnd(30)}${what}`).join('\n')}
`;

/** What runs, and what it needs to run. */
const COPIED = [...PRODUCT_FOLDERS, 'package.json', 'tsconfig.json'];
const SEED = '7';
const NOT_RUN = 2;
const TABLE = join(ROOT, 'bench', 'MUTATIONS.md');

interface Verdict {
  mutation: Mutation;
  isCaught: boolean;
  /** Every invariant that was broken. */
  broken: string[];
  text: string;
}

let isInterrupted = false;
const names = process.argv.slice(2);
if (names.includes('--help')) {
  process.stdout.write(HELP);
  process.exit(0);
}
const unknown = names.find((name) => !MUTATIONS.some((mutation) => mutation.name === name));
if (unknown !== undefined) {
  process.stderr.write(`no mutation is named ${unknown}\n${HELP}`);
  process.exit(2);
}
process.exit(await main(MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name))));

async function main(mutations: Mutation[]): Promise<number> {
  // A text that is gone is found before the first long run, not in the middle.
  for (const mutation of mutations) await mutate(mutation, ROOT, async () => undefined);
  const verdicts: Verdict[] = [];
  for (const mutation of mutations) {
    const verdict = await judge(mutation);
    if (isInterrupted) return 2;
    verdicts.push(verdict);
    const word = verdict.isCaught ? 'caught' : 'NOT CAUGHT';
    process.stdout.write(`${mutation.name}: ${word} (${verdict.broken.join(', ') || 'nothing broken'})\n`);
    if (!verdict.isCaught) process.stdout.write(`${verdict.text}\n`);
    await writeFile(TABLE, await table(verdicts));
  }
  const missed = verdicts.filter(({ isCaught }) => !isCaught);
  process.stdout.write(`${verdicts.length - missed.length} of ${verdicts.length} mutations were caught\n`);
  return missed.length === 0 ? 0 : 1;
}

async function judge(mutation: Mutation): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), 'perdure-mutation-'));
  try {
    for (const part of COPIED) await cp(join(ROOT, part), join(folder, part), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await mutate(mutation, folder, writeFile);
    const size = ['--executions', String(mutation.executions ?? 40), '--rounds', String(mutation.rounds ?? 1)];
    const options = ['--root', folder, '--seed', SEED, '--faults', mutation.faults, '--live', '25', '--rate', '6'];
    let { code, text } = await chaos([...options, ...size]);
    if (code === NOT_RUN && !isInterrupted) ({ code, text } = await chaos([...options, ...size]));
    const broken = Object.keys(INVARIANTS).filter((name) => text.includes(`\n${name} (`));
    return { mutation, isCaught: code === 1 && broken.includes(mutation.caughtBy), broken, text };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function mutate(
  mutation: Mutation,
  folder: string,
  write: (path: string, text: string) => Promise<void>,
): Promise<void> {
  for (const { find, replace, file = mutation.file } of mutation.edits) {
    const path = join(folder, file);
    const text = await readFile(path, 'utf8');
    if (text.split(find).length !== 2)
      throw new Error(
        `mutation ${mutation.name}: this has to stand in ${file} exactly once, mend chaos/*mutations.ts:\n${find}`,
      );
    await write(
      path,
      text.replace(find, () => replace),
    );
  }
}

function chaos(args: string[]): Promise<{ code: number | null; text: string }> {
  const script = fileURLToPath(new URL('main.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
  const stop = () => {
    isInterrupted = true;
    child.kill('SIGTERM');
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  return new Promise((resolve) =>
    child.once('close', (code) => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
      resolve({ code, text: Buffer.concat(chunks).toString('utf8') });
    }),
  );
}

/** Rows of earlier runs stay, so that one mutation can be run again by itself. */
async function table(verdicts: Verdict[]): Promise<string> {
  const rows = new Map<string, string>();
  const before = await readFile(TABLE, 'utf8').catch(() => '');
  for (const line of before.split('\n')) {
    const name = /^\| ([a-z0-9-]+) \|/.exec(line)?.[1];
    if (name !== undefined) rows.set(name, line);
  }
  for (const { mutation, isCaught, broken } of verdicts) {
    const { name, what, file, faults, caughtBy } = mutation;
    const result = isCaught ? `${caughtBy} (broken: ${broken.join(', ')})` : '**not caught**';
    rows.set(name, `| ${name} | ${what} | \`${file}\` | ${faults.replaceAll(',', ', ')} | ${result} |`);
  }
  const notRun = MUTATIONS.filter(({ name }) => !rows.has(name));
  return `# Mutations

Made by \`npm run mutations\`: each row is a protection that was taken out of a copy of Perdure's code
(\`chaos/*mutations.ts\` has the edits), the faults it was run under, and the invariant of the
[fault harness](../docs/chaos.md) that noticed, as it had to.

| Mutation | What was taken out | Where | Faults | Caught by |
|---|---|---|---|---|
${MUTATIONS.flatMap(({ name }) => rows.get(name) ?? []).join('\n')}

Listed and not run yet: ${notRun.map(({ name }) => name).join(', ') || 'none'}.
`;
}
