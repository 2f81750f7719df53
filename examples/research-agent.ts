/**
 * An agent that streams its work and can be steered: node `research-agent`, reasoner `deep_analysis`. It answers a
 * question from this repository's own documents (`*.md` at the root and below `docs/`) and shows every step as it takes
 * it: NDJSON, or server-sent events for a caller that prefers `Accept: text/event-stream`.
 *
 *   node --import tsx examples/research-agent.ts
 *   curl -N -d '{"question":"How are webhooks retried?"}' http://127.0.0.1:<port>/reasoners/deep_analysis
 *
 * Before each step it listens: `focus on signatures` adds a word to what it searches and puts what has it first.
 *
 * Steps, for the demo knobs of support/demo.ts: `plan`, `search`, `correct` (only when the first search finds little),
 * `read` (once per document), `synthesise`.
 */
import { fileURLToPath } from 'node:url';
import { AgentError, isObject, serveAgent } from './support/agent-server.ts';
import type { Call, Frame, PatchOperation, StepKind } from './support/agent-server.ts';
import { DEMO_HELP, demoSteps, isWholeNumber } from './support/demo.ts';
import { createIndex, excerpt, findDocuments, readSections, wordsOf } from './support/document-search.ts';
import type { Hit, SearchIndex, Section } from './support/document-search.ts';
import { createSteering } from './support/steering.ts';
import type { Message, Steering } from './support/steering.ts';

const ROOT = process.env['DOCUMENTS_ROOT'] || fileURLToPath(new URL('..', import.meta.url));
const HOLD_POLL_MS = Number(process.env['HOLD_POLL_MS'] || 1_000);
const STEPS = ['plan', 'search', 'correct', 'read', 'synthesise'] as const;
type Step = (typeof STEPS)[number];
const MAX_QUESTION_LENGTH = 2_000;
const MAX_QUERY_WORDS = 30;
const MAX_READ = 20;
const DEFAULT_READ = 4;
const HITS_PER_SEARCH = 40;
const FINDINGS_PER_DOCUMENT = 3;
/** Messages that one answer can follow, and what it takes of each: an event has room for 64 KiB. */
const MAX_FOLLOWED = 20;
const MAX_FOLLOWED_WORDS = 10;
const MAX_FOLLOWED_TEXT = 200;
const MAX_WORD_LENGTH = 40;
const MAX_SUMMARY_LENGTH = 2_000;
/** A partial result goes out after so many documents, with so many findings. */
const DOCUMENTS_PER_PARTIAL = 2;
const FINDINGS_PER_PARTIAL = 20;
/** Fewer hits than this, or a best hit with less than this share of the query words, is "little". */
const ENOUGH_HITS = 3;
const ENOUGH_COVERAGE = 0.5;
/** Words that say what to do with the others. */
const ORDERS = new Set('also check consider find focus include look please search'.split(' '));

const HELP = `research-agent: an agent that streams and can be steered, with one reasoner, deep_analysis

  POST /reasoners/deep_analysis  {"question": "How are webhooks retried?"}  ->  200, a stream of JSON lines
  (server-sent events with Accept: text/event-stream)

Input:
  question       text, at most ${MAX_QUESTION_LENGTH} characters (or "topic", the same)
  max_documents  how many documents to read, 1 to ${MAX_READ} (default ${DEFAULT_READ})

Messages: a text such as "focus on signatures"; its words are searched for too, and what has them comes first

Environment: PORT (default 0: a free port), HOST (default 127.0.0.1),
  DOCUMENTS_ROOT (default: this repository; read are *.md there and in docs/),
  HOLD_POLL_MS (default 1000: how often it asks whether it may go on)

Steps: ${STEPS.join(', ')}; correct is taken only when the first search finds little, read once per document
${DEMO_HELP}`;

interface Finding {
  document: string;
  heading: string;
  excerpt: string;
  score: number;
}

/** A message that has changed the work. */
interface Followed {
  message_id: string;
  text: string;
  words: string[];
}

/** All that it knows of one question. */
interface Work {
  question: string;
  /** Of the question, and others that mean the same. */
  words: string[];
  followed: Followed[];
  queries: string[];
  hits: Hit[];
  read: Set<string>;
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
  const words = unique(wordsOf(question)).slice(0, MAX_QUERY_WORDS);
  const work = { question: question.trim(), words, followed: [], queries: [], hits: [], read: new Set<string>() };
  return research(work, maxDocuments, demoSteps(STEPS, call), createSteering(call, HOLD_POLL_MS));
}

async function* research(
  work: Work,
  maxDocuments: number,
  startStep: (name: Step) => Promise<void>,
  steering: Steering,
): AsyncGenerator<Frame> {
  try {
    yield* investigate(work, maxDocuments, startStep, steering);
  } catch (error) {
    // Cancelled or failed: what has been found so far is not lost.
    if (work.read.size > 0) yield partialResult(work);
    throw error;
  }
}

async function* investigate(
  work: Work,
  maxDocuments: number,
  startStep: (name: Step) => Promise<void>,
  steering: Steering,
): AsyncGenerator<Frame> {
  const progress = createProgress();
  async function* listen(name: Step): AsyncGenerator<Frame> {
    for (let messages = await steering.listen(); messages.length > 0; messages = await steering.listen()) {
      for (const message of messages) yield* follow(work, message, name, steering);
    }
  }
  async function* begin(name: Step): AsyncGenerator<Frame> {
    yield* listen(name);
    await startStep(name);
  }

  // Said before anything is asked: until then it is not known whether this call is a short one.
  yield progress('Planning', 0);
  work.followed = followedBefore(await steering.recall());
  yield* begin('plan');
  const documents = await findDocuments(ROOT);
  const sections = (await Promise.all(documents.map((document) => readSections(ROOT, document)))).flat();
  const index = createIndex(sections);
  const words = work.words.join(', ') || '(nothing)';
  const size = { documents: documents.length, sections: sections.length };
  yield step('thought', 'plan', `Search ${count(documents.length, 'document')} for: ${words}`, size);
  yield remember({ question: work.question, words: searchedWords(work), documents_read: [], findings: 0 });

  for (;;) {
    const query = searchedWords(work).join(' ');
    if (query !== work.queries.at(-1)) {
      yield progress('Searching', 10);
      yield* begin('search');
      yield* search(work, index);
      const other = work.queries.length === 1 ? otherWords(work, index) : [];
      if (other.length > 0) {
        yield progress('Trying other words', 25);
        const why = `That found little; search for related words too: ${other.join(', ')}`;
        yield step('self_correction', 'expand_query', why, { added: other });
        yield* begin('correct');
        work.words = [...work.words, ...other];
        yield* search(work, index);
      }
      yield remember({ words: searchedWords(work) });
      continue;
    }
    const chosen = unique(work.hits.map(({ section }) => section.document)).slice(0, maxDocuments);
    const unread = chosen.filter((document) => !work.read.has(document));
    const [document] = unread;
    if (document === undefined) {
      yield progress('Writing the answer', 90);
      yield* begin('synthesise');
      // Whoever has spoken until now is heard.
      yield* listen('synthesise');
      if (searchedWords(work).join(' ') === query) break;
      continue;
    }
    yield progress(`Reading ${document}`, 40 + Math.floor(45 * (1 - unread.length / chosen.length)));
    yield step('tool_call', 'read_document', `Read ${document}`, { document });
    yield* begin('read');
    work.read.add(document);
    const headings = findingsOf(work).flatMap((found) => (found.document === document ? [found.heading] : []));
    yield step('tool_result', 'read_document', `${document}: ${headings.join('; ')}`, { document, headings });
    yield remember({ documents_read: [...work.read], findings: findingsOf(work).length });
    if (work.read.size % DOCUMENTS_PER_PARTIAL === 0) yield partialResult(work);
  }

  const findings = findingsOf(work);
  yield step('message', 'synthesise', `Answered from ${count(findings.length, 'finding')}`);
  yield {
    type: 'result',
    result: {
      question: work.question,
      answer: synthesise(work, findings),
      findings,
      queries: work.queries,
      followed: work.followed,
      documents_read: [...work.read],
      documents_searched: documents.length,
      sections_searched: sections.length,
    },
  };
}

/** Lets a message change the work, and says what became of it. */
function* follow(work: Work, { id, text = '' }: Message, during: Step, steering: Steering): Generator<Frame> {
  const reject = (reason: string): void => steering.tell({ type: 'steer.rejected', message_id: id, reason });
  const usable = wordsOf(text).filter((word) => !ORDERS.has(word) && word.length <= MAX_WORD_LENGTH);
  const words = unique(usable).slice(0, MAX_FOLLOWED_WORDS);
  if (words.length === 0) return reject('it has no words to search for');
  if (work.followed.length >= MAX_FOLLOWED) return reject(`${MAX_FOLLOWED} messages are followed already`);
  const shortText = text.slice(0, MAX_FOLLOWED_TEXT);
  work.followed = [...work.followed, { message_id: id, text: shortText, words }];
  yield step('self_correction', 'follow_message', `Asked to: ${shortText}`, { message_id: id, words });
  // Both or neither is recorded, so an attempt after a crash knows what it has said to follow.
  steering.tell(
    { type: 'context.patch', patch: [add('followed', work.followed)] },
    { type: 'steer.applied', message_id: id, step: during },
  );
}

function followedBefore({ followed }: Record<string, unknown>): Followed[] {
  return Array.isArray(followed) ? (followed as unknown[]).filter(isFollowed) : [];
}

function isFollowed(value: unknown): value is Followed {
  return isObject(value) && typeof value['text'] === 'string' && Array.isArray(value['words']);
}

function* search(work: Work, index: SearchIndex): Generator<Frame> {
  const query = searchedWords(work).join(' ');
  yield step('tool_call', 'search', `Search for: ${query}`, { query });
  work.queries.push(query);
  const hits = index.search(searchedWords(work), Infinity);
  const asked = new Set(work.followed.flatMap(({ words }) => words));
  const isAsked = ({ matched }: Hit): number => Number(matched.some((word) => asked.has(word)));
  work.hits = hits.toSorted((a, b) => isAsked(b) - isAsked(a)).slice(0, HITS_PER_SEARCH);
  const best = work.hits.slice(0, 5).map(({ section, score, matched }) => {
    return { document: section.document, heading: section.heading, score, matched };
  });
  const found = `${count(work.hits.length, 'section')} found`;
  yield step('tool_result', 'search', found, { total: work.hits.length, best });
}

/** The words to search for, those of messages among them. */
function searchedWords({ words, followed }: Work): string[] {
  return unique([...words, ...followed.flatMap((message) => message.words)]);
}

/** Related words, where a search has found little. */
function otherWords({ words, hits }: Work, index: SearchIndex): string[] {
  const coverage = Math.max(0, ...hits.map(({ matched }) => matched.length)) / Math.max(1, words.length);
  if (hits.length >= ENOUGH_HITS && coverage >= ENOUGH_COVERAGE) return [];
  return unique(words.flatMap((word) => index.alternatives(word))).filter((word) => !words.includes(word));
}

/** The best sections of what has been read, best first. */
function findingsOf({ hits, read, words, followed }: Work): Finding[] {
  const perDocument = new Map<string, number>();
  return hits.flatMap(({ section, score }) => {
    const before = perDocument.get(section.document) ?? 0;
    if (!read.has(section.document) || before >= FINDINGS_PER_DOCUMENT) return [];
    perDocument.set(section.document, before + 1);
    return [finding(section, score, [...words, ...followed.flatMap((message) => message.words)])];
  });
}

function finding(section: Section, score: number, words: readonly string[]): Finding {
  return { document: section.document, heading: section.heading, excerpt: excerpt(section, words), score };
}

/** No language model here: the answer is the best passages, each with the document it stands in. */
function synthesise({ question, followed }: Work, findings: readonly Finding[]): string {
  const passages = findings.slice(0, 3).map((found) => `${found.excerpt} [${found.document}: ${found.heading}]`);
  const answer = passages.length > 0 ? passages : [`The documents say nothing about "${question}".`];
  const asked = followed.map(({ text }) => `"${text}"`).join(', ');
  return [...answer, ...(asked === '' ? [] : [`Followed on the way: ${asked}.`])].join('\n\n');
}

function partialResult(work: Work): Frame {
  const findings = findingsOf(work).slice(0, FINDINGS_PER_PARTIAL);
  return {
    type: 'partial_result',
    data: { question: work.question, findings, followed: work.followed, documents_read: [...work.read] },
  };
}

/** Shows what it knows, as a patch of its visible memory. */
function remember(members: Record<string, unknown>): Frame {
  return { type: 'context.patch', patch: Object.entries(members).map(([name, value]) => add(name, value)) };
}

function add(name: string, value: unknown): PatchOperation {
  return { op: 'add', path: `/${name}`, value };
}

/** Never goes back, also where a message brings more to do. */
function createProgress(): (action: string, percent: number) => Frame {
  const startedAt = Date.now();
  let soFar = 0;
  return (action, percent) => {
    soFar = Math.max(soFar, percent);
    // The estimate assumes that the rest goes at the speed so far; there is nothing to go by at the start.
    const remainingMs = soFar === 0 ? undefined : ((Date.now() - startedAt) / soFar) * (100 - soFar);
    return {
      type: 'progress',
      current_action: action,
      progress_pct: soFar,
      ...(remainingMs !== undefined && { estimated_completion: new Date(Date.now() + remainingMs).toISOString() }),
    };
  };
}

function step(kind: StepKind, name: string, summary: string, data?: unknown): Frame {
  return {
    type: 'step',
    kind,
    name,
    summary: summary.slice(0, MAX_SUMMARY_LENGTH),
    ...(data !== undefined && { data }),
  };
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

serveAgent({ node: 'research-agent', help: HELP, reasoners: { deep_analysis: deepAnalysis } });
