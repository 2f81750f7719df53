import { readFile, writeFile } from 'node:fs/promises';
import { SUITE_NAMES } from './suite.ts';

const TITLE = '# Benchmark results';
const MARKER = /^<!-- suite: ([a-z0-9-]+) -->$/m;

/** Text by the name of what made it: a suite, or another program that keeps its results here. */
export type Sections = Record<string, string>;

/** Puts one section into a results file and leaves the others as they are. */
export async function saveSection(file: string, name: string, body: string): Promise<void> {
  const before = readSections(await readFile(file, 'utf8').catch(() => ''));
  await writeFile(file, writeSections({ ...before, [name]: body }));
}

/** What a results file holds. One from before there were suites is all cost. */
export function readSections(text: string): Sections {
  const [head = '', ...parts] = text.split(MARKER);
  if (parts.length === 0) {
    const body = head.replace(TITLE, '').trim();
    return body === '' ? {} : { cost: body };
  }
  const sections: Sections = {};
  for (let i = 0; i < parts.length; i += 2) sections[parts[i] ?? ''] = (parts[i + 1] ?? '').trim();
  return sections;
}

/** The file with these sections: the suites in their order, then what else there is. */
export function writeSections(sections: Sections): string {
  const names = [...new Set<string>([...SUITE_NAMES, ...Object.keys(sections)])];
  const parts = names.flatMap((name) => {
    const body = sections[name];
    return body === undefined ? [] : [`<!-- suite: ${name} -->`, '', body.trim(), ''];
  });
  return [TITLE, '', ...parts].join('\n');
}
