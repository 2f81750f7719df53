/**
 * The smallest agent: node `hello-world`, reasoner `greet`. One call in, one JSON answer out.
 *
 *   node --import tsx examples/hello-world.ts
 *   curl -d '{"name":"Ada","language":"fr"}' http://127.0.0.1:<port>/reasoners/greet
 *   {"message":"Bonjour, Ada !","name":"Ada","language":"fr"}
 *
 * Steps, for the demo knobs of support/demo.ts: `check`, `greet`.
 */
import { AgentError, serveAgent, type Call } from './support/agent-server.ts';
import { DEMO_HELP, demoSteps } from './support/demo.ts';

const GREETINGS: Record<string, (name: string) => string> = {
  de: (name) => `Hallo, ${name}!`,
  en: (name) => `Hello, ${name}!`,
  es: (name) => `¡Hola, ${name}!`,
  fr: (name) => `Bonjour, ${name} !`,
  hi: (name) => `नमस्ते, ${name}!`,
  it: (name) => `Ciao, ${name}!`,
  ja: (name) => `こんにちは、${name}さん！`,
  pt: (name) => `Olá, ${name}!`,
  sw: (name) => `Habari, ${name}!`,
};
const LANGUAGES = Object.keys(GREETINGS).join(', ');
const STEPS = ['check', 'greet'] as const;
const MAX_NAME_LENGTH = 200;

const HELP = `hello-world: an agent with one reasoner, greet

  POST /reasoners/greet  {"name": "Ada", "language": "fr"}  ->  200 {"message": "Bonjour, Ada !", ...}

Input:
  name      text, at most ${MAX_NAME_LENGTH} characters (default "world")
  language  one of ${LANGUAGES} (default "en")

Environment: PORT (default 0: a free port), HOST (default 127.0.0.1)

Steps: ${STEPS.join(', ')}
${DEMO_HELP}`;

async function greet(call: Call): Promise<unknown> {
  const step = demoSteps(STEPS, call);

  await step('check');
  const { name = 'world', language = 'en' } = call.input;
  // 422 tells Perdure that the same input will never do, so it is not tried again.
  if (typeof name !== 'string' || name.trim() === '' || name.length > MAX_NAME_LENGTH) {
    throw new AgentError(422, `name must be a text of 1 to ${MAX_NAME_LENGTH} characters`);
  }
  const greeting = typeof language === 'string' && Object.hasOwn(GREETINGS, language) && GREETINGS[language];
  if (!greeting) throw new AgentError(422, `language must be one of ${LANGUAGES}`);

  await step('greet');
  return { message: greeting(name.trim()), name: name.trim(), language };
}

serveAgent({ node: 'hello-world', help: HELP, reasoners: { greet } });
