/**
 * An agent that streams its work: node `research-agent`, reasoner `deep_analysis`. It answers a question from this
 * repository's own documents (`*.md` at the root and below `docs/`) and shows every step as it takes it: NDJSON, or
 * server-sent events for a caller that prefers `Accept: text/event-stream`.
 *
 *   node --import tsx examples/research-agent.ts
 *   curl -N -d '{"question":"How are webhooks retried?"}' http://127.0.0.1:<port>/reasoners/deep_analysis
 *
 * Steps, for the demo knobs of support/demo.ts: `plan`, `search`, `correct` (only when the first search finds little),
 * `read` (once per document), `synthesise`.
 */
import { fileURLToPath } from 'node:url';
import { AgentError, serveAgent, type Call, type Frame, type StepKind } from './support/agent-server.ts';
import { DEMO_HELP, demoSteps, isWholeNumber } from './support/demo.ts';
import { createIndex, excerpt, findDocuments, readSections, wordsOf } from './support/document-search.ts';
import type { Hit, SearchIndex, Section } from './support/document-search.ts';

const ROOT = process.env['DOCUMENTS_ROOT'] || fileURLToPath(new URL('..', import.meta.url));
const STEPS = ['plan', 'search', 'correct', 'read', 'synthesise'] as const;
const MAX_QUESTION_LENGTH = 2_000;
const MAX_QUERY_WORDS = 30;
const MAX_READ = 20;
const DEFAULT_READ = 4;
const HITS_PER_SEARCH = 40;
const FINDINGS_PER_DOCUMENT = 3;
/** Fewer hits than this, or a best hit with less than this share of the query words, is "little". */
const ENOUGH_HITS = 3;
const ENOUGH_COVERAGE = 0.5;

const HELP = `research-agent: an agent that streams, with one reasoner, deep_analysis

  POST /reasoners/deep_analysis  {"question": "How are webhooks retried?"}  ->  200, a stream of JSON lines
  (server-sent events with Accept: text/event-stream)

Input:
  question       text, at most ${MAX_QUESTION_LENGTH} characters (or "topic", the same)
  max_documents  how many documents to read, 1 to ${MAX_READ} (default ${DEFAULT_READ})

Environment: PORT (default 0: a free port), HOST (default 127.0.0.1),
  DOCUMENTS_ROOT (default: this repository; read are *.md there and in docs/)

Steps: ${STEPS.join(', ')}; correct is taken only when the first search finds little, read once per document
${DEMO_HELP}`;

interface Finding {
  document: string;
  heading: string;
  excerpt: string;
  score: number;
}

function deepAnalysis(call: Call): AsyncGenerator<Frame> {
  const question = call.input['question'] ?? call.input['topic'];
  const maxDocuments = call.input['max_documents'] ?? DEFAULT_READ;
  if (typeof question !== 'string' || question.trim() === '' || question.length > MAX_QUESTION_LENGTH) {
    throw new AgentError(422, `question (or topic) must be a text of 1 to ${MAX_QUESTION_LENGTH} characters`);
  }
  if (!isWholeNumber(maxDocuments, 1, MAX_READ)) {
    throw new AgentError(422, `max_documents must be a whole number from 1 to ${MAX_READ}`);
  }
  // All input has been checked by now: once the stream has begun, it is too late to answer 422.
  return research(question.trim(), maxDocuments, demoSteps(STEPS, call));
}

async function* research(
  question: string,
  maxDocuments: number,
  startStep: (name: (typeof STEPS)[number]) => Promise<void>,
): AsyncGenerator<Frame> {
  const startedAt = Date.now();

  yield progress('Planning', 0, startedAt);
  await startStep('plan');
  const documents = await findDocuments(ROOT);
  const sections = (await Promise.all(documents.map((document) => readSections(ROOT, document)))).flat();
  const index = createIndex(sections);
  let words = [...new Set(wordsOf(question))].slice(0, MAX_QUERY_WORDS);
  yield step(
    'thought',
    'plan',
    `Search ${count(documents.length, 'document')} for: ${words.join(', ') || '(nothing)'}`,
    {
      documents: documents.length,
      sections: sections.length,
    },
  );

  yield progress('Searching', 10, startedAt);
  yield step('tool_call', 'search', `Search for: ${words.join(' ')}`, { query: words.join(' ') });
  await startStep('search');
  const queries = [words.join(' ')];
  let hits = index.search(words, HITS_PER_SEARCH);
  yield searched(hits);

  const isLittle = hits.length < ENOUGH_HITS || coverage(hits, words) < ENOUGH_COVERAGE;
  const expanded = isLittle ? expand(words, index) : words;
  if (expanded.length > words.length) {
    const added = expanded.slice(words.length);
    yield progress('Trying other words', 25, startedAt);
    yield step(
      'self_correction',
      'expand_query',
      `That found little; search for related words too: ${added.join(', ')}`,
      {
        added,
      },
    );
    yield step('tool_call', 'search', `Search for: ${expanded.join(' ')}`, { query: expanded.join(' ') });
    await startStep('correct');
    queries.push(expanded.join(' '));
    words = expanded;
    hits = index.search(words, HITS_PER_SEARCH);
    yield searched(hits);
  }

  const chosen = [...new Set(hits.map(({ section }) => section.document))].slice(0, maxDocuments);
  const findings: Finding[] = [];
  for (const [position, document] of chosen.entries()) {
    yield progress(`Reading ${document}`, 40 + Math.floor((45 * position) / chosen.length), startedAt);
    yield step('tool_call', 'read_document', `Read ${document}`, { document });
    await startStep('read');
    const found = hits.filter(({ section }) => section.document === document).slice(0, FINDINGS_PER_DOCUMENT);
    findings.push(...found.map(({ section, score }) => finding(section, score, words)));
    const headings = found.map(({ section }) => section.heading);
    yield step('tool_result', 'read_document', `${document}: ${headings.join('; ')}`, { document, headings });
  }
  findings.sort((a, b) => b.score - a.score);

  yield progress('Writing the answer', 90, startedAt);
  await startStep('synthesise');
  const answer = synthesise(question, findings);
  yield step('message', 'synthesise', `Answered from ${count(findings.length, 'finding')}`);
  yield {
    type: 'result',
    result: {
      question,
      answer,
      findings,
      queries,
      documents_read: chosen,
      documents_searched: documents.length,
      sections_searched: sections.length,
    },
  };
}

function progress(action: string, percent: number, startedAt: number): Frame {
  // The estimate assumes that the rest goes at the speed so far; there is nothing to go by at the start.
  const remainingMs = percent === 0 ? undefined : ((Date.now() - startedAt) / percent) * (100 - percent);
  return {
    type: 'progress',
    current_action: action,
    progress_pct: percent,
    ...(remainingMs !== undefined && { estimated_completion: new Date(Date.now() + remainingMs).toISOString() }),
  };
}

function step(kind: StepKind, name: string, summary: string, data?: unknown): Frame {
  return { type: 'step', kind, name, summary, ...(data !== undefined && { data }) };
}

function searched(hits: readonly Hit[]): Frame {
  const best = hits.slice(0, 5).map(({ section, score, matched }) => {
    return { document: section.document, heading: section.heading, score, matched };
  });
  return step('tool_result', 'search', `${count(hits.length, 'section')} found`, { total: hits.length, best });
}

/** The share of the query words that the best section has. */
function coverage(hits: readonly Hit[], words: readonly string[]): number {
  return Math.max(0, ...hits.map(({ matched }) => matched.length)) / Math.max(1, words.length);
}

function expand(words: readonly string[], index: SearchIndex): string[] {
  return [...new Set([...words, ...words.flatMap((word) => index.alternatives(word))])];
}

function finding(section: Section, score: number, words: readonly string[]): Finding {
  return { document: section.document, heading: section.heading, excerpt: excerpt(section, words), score };
}

/** No language model here: the answer is the best passages, each with the document it stands in. */
function synthesise(question: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return `The documents say nothing about "${question}".`;
  const passages = findings.slice(0, 3).map((found) => `${found.excerpt} [${found.document}: ${found.heading}]`);
  return passages.join('\n\n');
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

serveAgent({ node: 'research-agent', help: HELP, reasoners: { deep_analysis: deepAnalysis } });
