import { SUITE_NAMES } from './suite.ts';
import type { SuiteName } from './suite.ts';

const TITLE = '# Benchmark results';
const markerOf = (suite: SuiteName) => `<!-- suite: ${suite} -->`;
const MARKER = /^<!-- suite: ([a-z-]+) -->$/m;

export type Sections = Partial<Record<SuiteName, string>>;

/** What a results file holds. One from before there were suites is all cost. */
export function readSections(text: string): Sections {
  const [head = '', ...parts] = text.split(MARKER);
  if (parts.length === 0) {
    const body = head.replace(TITLE, '').trim();
    return body === '' ? {} : { cost: body };
  }
  const sections: Sections = {};
  for (const suite of SUITE_NAMES) {
    const at = parts.findIndex((part, i) => i % 2 === 0 && part === suite);
    if (at >= 0) sections[suite] = (parts[at + 1] ?? '').trim();
  }
  return sections;
}

/** The file with these sections, in the order of the suites whatever the order they were made in. */
export function writeSections(sections: Sections): string {
  const parts = SUITE_NAMES.flatMap((suite) => {
    const body = sections[suite];
    return body === undefined ? [] : [markerOf(suite), '', body.trim(), ''];
  });
  return [TITLE, '', ...parts].join('\n');
}
