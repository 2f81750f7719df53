/** A small full-text search over Markdown files: sections ranked by BM25, nothing stored, nothing fetched. */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const MAX_DOCUMENTS = 500;
const MAX_DOCUMENT_BYTES = 1024 * 1024;
const MAX_FOLDER_DEPTH = 8;
/** BM25: how soon repetition stops counting, and how much long sections are held back. */
const K1 = 1.2;
const B = 0.75;
/** A word in a heading says more about a section than one in its text. */
const HEADING_WEIGHT = 3;

const STOP_WORDS = new Set(
  (
    'a about after all also an and any are as at be been before but by can could did do does for from had has have ' +
    'how if in into is it its may more most must no not of on one only or other our should so some such than that ' +
    'the their them then there these they this to up was we were what when where which while who whom whose why ' +
    'will with would you your'
  ).split(' '),
);

/** Words that mean much the same here; a search that finds little tries the others of its group. */
const SYNONYMS = [
  ['agent', 'node', 'bot'],
  ['answer', 'response', 'reply', 'result', 'outcome'],
  ['cancel', 'abort', 'stop', 'terminate', 'kill', 'interrupt'],
  ['crash', 'failure', 'outage', 'restart', 'die'],
  ['execution', 'run', 'job', 'task', 'workflow'],
  ['install', 'setup', 'start', 'run', 'deploy'],
  ['limit', 'bound', 'quota', 'maximum', 'cap'],
  ['progress', 'status', 'step', 'event'],
  ['retry', 'attempt', 'backoff', 'repeat', 'redeliver'],
  ['secret', 'key', 'credential', 'token', 'password', 'auth'],
  ['speed', 'latency', 'performance', 'benchmark', 'overhead'],
  ['stream', 'sse', 'websocket', 'live'],
  ['webhook', 'callback', 'delivery', 'notification'],
];

export interface Section {
  document: string;
  heading: string;
  text: string;
}

export interface Hit {
  section: Section;
  score: number;
  /** The query words this section contains. */
  matched: string[];
}

export interface SearchIndex {
  search: (words: readonly string[], limit: number) => Hit[];
  /** Words of the documents that a query word may have meant: synonyms, other forms, other spellings. */
  alternatives: (word: string) => string[];
}

/** Reads `*.md` at the root and everything below `docs/`; links are not followed, so nothing outside is read. */
export async function findDocuments(root: string): Promise<string[]> {
  const found: string[] = [];
  const visit = async (folder: string, depth: number): Promise<void> => {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (found.length >= MAX_DOCUMENTS || entry.name.startsWith('.')) continue;
      if (entry.isFile() && entry.name.toLowerCase().endsWith('.md')) found.push(path);
      const isSearched = folder === '' ? entry.name === 'docs' : depth < MAX_FOLDER_DEPTH;
      if (entry.isDirectory() && isSearched) await visit(path, depth + 1);
    }
  };
  await visit('', 0);
  return found;
}

export async function readSections(root: string, document: string): Promise<Section[]> {
  const path = join(root, document);
  if ((await lstat(path)).size > MAX_DOCUMENT_BYTES) return [];
  return toSections(document, await readFile(path, 'utf8'));
}

function toSections(document: string, markdown: string): Section[] {
  const sections: Section[] = [];
  let heading = document;
  let lines: string[] = [];
  let fence: string | undefined;
  const close = (): void => {
    const text = plainText(lines);
    if (text !== '') sections.push({ document, heading, text });
    lines = [];
  };
  for (const line of markdown.split(/\r?\n/)) {
    // A line that starts with # inside a code block is a comment, not a heading.
    const mark = /^\s*(```|~~~)/.exec(line)?.[1];
    if (mark && (fence === undefined || fence === mark)) {
      fence = fence === undefined ? mark : undefined;
      continue;
    }
    const title = fence === undefined ? /^#{1,6}\s+(.*)$/.exec(line)?.[1] : undefined;
    if (title === undefined) lines.push(fence === undefined ? line : '');
    else {
      close();
      heading = plainText([title]) || document;
    }
  }
  close();
  return sections;
}

/** Paragraphs as single lines, without Markdown's marks. Tables are kept, their cells as sentences. */
function plainText(lines: readonly string[]): string {
  const cleaned = lines.map((line) =>
    line
      .replace(/^\s*\|?[\s:|-]+\|[\s:|-]*$/, '')
      .replace(/^\s*(?:[-*+]|\d+[.)]|>)\s+/, '\n')
      .replace(/^\s*\|(.*)\|\s*$/, '\n$1')
      .replaceAll('|', ';')
      .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/<[^>]*>/g, '')
      .replace(/(\*\*|__|`)/g, '')
      .replace(/\*(\w[^*]{0,80})\*/g, '$1'),
  );
  return cleaned
    .join('\n')
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter((paragraph) => paragraph !== '')
    .join('\n');
}

/** The words of a text that carry meaning, in lower case and in their order. */
export function wordsOf(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.filter((word) => word.length > 1 && !STOP_WORDS.has(word));
}

/** Cuts the commonest English endings, so that `retries`, `retried` and `retry` meet. */
export function stem(word: string): string {
  if (word.length > 4 && /i(es|ed)$/.test(word)) return `${word.slice(0, -3)}y`;
  if (word.length > 6 && word.endsWith('ing')) return trimE(word.slice(0, -3));
  if (word.length > 5 && word.endsWith('ed')) return trimE(word.slice(0, -2));
  if (word.length > 3 && word.endsWith('s') && !word.endsWith('ss')) return trimE(word.slice(0, -1));
  return trimE(word);
}

function trimE(word: string): string {
  if (word.length > 4 && /([bdglmnprt])\1$/.test(word)) return word.slice(0, -1);
  return word.length > 4 && word.endsWith('e') ? word.slice(0, -1) : word;
}

export function createIndex(sections: readonly Section[]): SearchIndex {
  const entries = sections.map((section) => {
    const counts = new Map<string, number>();
    const add = (word: string, weight: number): void => {
      counts.set(stem(word), (counts.get(stem(word)) ?? 0) + weight);
    };
    const words = wordsOf(section.text);
    for (const word of words) add(word, 1);
    for (const word of wordsOf(section.heading)) add(word, HEADING_WEIGHT);
    return { section, counts, length: words.length };
  });
  const meanLength = entries.reduce((sum, { length }) => sum + length, 0) / Math.max(1, entries.length) || 1;
  const frequency = new Map<string, number>();
  for (const { counts } of entries) {
    for (const term of counts.keys()) frequency.set(term, (frequency.get(term) ?? 0) + 1);
  }
  const rarity = (term: string): number => {
    const n = frequency.get(term) ?? 0;
    return Math.log(1 + (entries.length - n + 0.5) / (n + 0.5));
  };

  return {
    search(words, limit) {
      const terms = new Map(words.map((word) => [stem(word), word]));
      const hits: Hit[] = [];
      for (const { section, counts, length } of entries) {
        let score = 0;
        const matched: string[] = [];
        for (const [term, word] of terms) {
          const count = counts.get(term);
          if (count === undefined) continue;
          matched.push(word);
          score += (rarity(term) * count * (K1 + 1)) / (count + K1 * (1 - B + (B * length) / meanLength));
        }
        if (score > 0) hits.push({ section, score: Math.round(score * 1000) / 1000, matched });
      }
      return hits.sort((a, b) => b.score - a.score).slice(0, limit);
    },

    alternatives(word) {
      const term = stem(word);
      const related = SYNONYMS.filter((group) => group.some((synonym) => stem(synonym) === term)).flat();
      const known = related.filter((synonym) => stem(synonym) !== term && frequency.has(stem(synonym)));
      const alike = [...frequency.keys()].filter((other) => other !== term && isAlike(term, other));
      return [...new Set([...known, ...alike])].slice(0, 5);
    },
  };
}

/** True for another form (same first five letters) or, in longer words, a likely slip of the keys (one edit). */
function isAlike(a: string, b: string): boolean {
  if (a.length < 5 || b.length < 5) return false;
  if (a.slice(0, 5) === b.slice(0, 5)) return true;
  // One edit away from a short word are too many others: quilt, quiet, built.
  if (a.length < 6 || b.length < 6 || Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  const isSwap = restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2);
  return isSwap || restA.slice(1) === restB.slice(1) || restA.slice(1) === restB || restA === restB.slice(1);
}

/** The passage of a section that answers the query best: its best sentence and what follows, about `maxLength` long. */
export function excerpt({ text }: Section, words: readonly string[], maxLength = 400): string {
  const terms = new Set(words.map(stem));
  const sentences = text.split(/(?<=[.!?])\s+|\n/).filter((sentence) => sentence.trim() !== '');
  const matches = sentences.map((sentence) => {
    const present = new Set(wordsOf(sentence).map(stem));
    return [...terms].filter((term) => present.has(term)).length;
  });
  const best = matches.indexOf(Math.max(...matches));
  let passage = sentences[best]?.trim() ?? '';
  for (const sentence of sentences.slice(best + 1)) {
    if (passage.length + sentence.length >= maxLength) break;
    passage += ` ${sentence.trim()}`;
  }
  return passage.length <= maxLength ? passage : `${passage.slice(0, maxLength).trimEnd()} …`;
}
