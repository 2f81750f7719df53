import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AgentNodesError, loadAgentNodes, parseAgentNodes, targetOf } from '../../common/agent-nodes.ts';
import { ConfigError, loadCommonConfig } from '../../common/environment.ts';

const directoryOf = (config: unknown) => parseAgentNodes([{ from: 'test', text: JSON.stringify(config) }]);

test('a node is a bare URL, or an object with all its settings', async () => {
  const nodes = directoryOf({
    bare: 'http://localhost:9001/base/',
    full: {
      url: 'https://agents.example.org//',
      reasoners: ['think'],
      skills: ['add'],
      headers: { authorization: 'Bearer x' },
      timeout_ms: 5000,
      retry: { max_attempts: 7, initial_interval_ms: 10, backoff_coefficient: 1.5, max_interval_ms: 100 },
    },
  });
  assert.deepEqual(await nodes.names(), ['bare', 'full']);
  assert.deepEqual(await nodes.find('bare'), {
    node: 'bare',
    instances: [{ url: 'http://localhost:9001/base' }],
    headers: {},
    retry: {},
  });
  assert.deepEqual(await nodes.find('full'), {
    node: 'full',
    instances: [{ url: 'https://agents.example.org' }],
    reasoners: ['think'],
    skills: ['add'],
    headers: { authorization: 'Bearer x' },
    timeoutMs: 5000,
    retry: { maximumAttempts: 7, initialIntervalMs: 10, backoffCoefficient: 1.5, maximumIntervalMs: 100 },
  });
  for (const name of ['other', '', '__proto__', 'constructor', 'toString'])
    assert.equal(await nodes.find(name), undefined);
});

test('a bare URL takes any reasoner, declared names are the only ones, and a skill is a skill', async () => {
  const nodes = directoryOf({
    any: 'http://a',
    both: { url: 'http://b', reasoners: ['think', 'twice'], skills: ['add', 'twice'] },
    none: { url: 'http://c', reasoners: [] },
  });
  const typeOf = async (node: string, name: string) => {
    const found = await nodes.find(node);
    assert.ok(found);
    return targetOf(found, name)?.type;
  };
  assert.equal(await typeOf('any', 'whatever'), 'reasoner');
  assert.equal(await typeOf('both', 'think'), 'reasoner');
  assert.equal(await typeOf('both', 'add'), 'skill');
  assert.equal(await typeOf('both', 'twice'), 'reasoner', 'reasoners are looked up first, as AgentField does');
  assert.equal(await typeOf('both', 'sing'), undefined);
  assert.equal(await typeOf('none', 'think'), undefined);
});

test('the variable wins over the file where both name a node', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-nodes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'nodes.json');
  writeFileSync(file, JSON.stringify({ a: 'http://file-a', b: 'http://file-b' }));
  const nodes = loadAgentNodes({ file, json: JSON.stringify({ b: 'http://env-b' }) });
  assert.equal((await nodes.find('a'))?.instances[0]?.url, 'http://file-a');
  assert.equal((await nodes.find('b'))?.instances[0]?.url, 'http://env-b');
  assert.deepEqual(await loadAgentNodes({}).names(), []);
});

const SECRET = 'canary-7d1f';
const FLAWED: [what: string, text: string, named: RegExp][] = [
  ['not JSON', `{"a": "${SECRET}"`, /^PERDURE_AGENT_NODES is not JSON$/],
  ['a list', '[]', /expected (record|object)/],
  ['another scheme', '{"a":"ftp://x"}', /\ba\b.*http or https URL|http or https URL.*\ba\b/],
  ['no URL at all', '{"a":"localhost:9000"}', /http or https URL/],
  ['a number', '{"a":5}', /\ba\b/],
  ['no url', '{"a":{"reasoners":["x"]}}', /url/],
  ['a scheme inside an object', '{"a":{"url":"ftp://x"}}', /http or https URL/],
  ['credentials', `{"a":"http://user:${SECRET}@x"}`, /must not contain credentials: use headers/],
  ['a password alone', `{"a":"http://:${SECRET}@x"}`, /must not contain credentials: use headers/],
  ['a misspelt setting', '{"a":{"url":"http://x","reasoner":["y"]}}', /reasoner/],
  ['a misspelt retry setting', '{"a":{"url":"http://x","retry":{"attempts":3}}}', /attempts/],
  ['a name that cannot stand in a target', '{"a.b":"http://x"}', /a\.b/],
  ['a reasoner that cannot stand in a target', '{"a":{"url":"http://x","reasoners":["b c"]}}', /letters, digits/],
  ['a header that is no text', `{"a":{"url":"http://x","headers":{"x-key":["${SECRET}"]}}}`, /x-key/],
  ['a time limit of zero', '{"a":{"url":"http://x","timeout_ms":0}}', /timeout_ms/],
  ['no attempts', '{"a":{"url":"http://x","retry":{"max_attempts":0}}}', /max_attempts/],
];

for (const [what, text, named] of FLAWED) {
  test(`a node configuration with ${what} is refused in one clear line`, () => {
    assert.throws(
      () => loadAgentNodes({ json: text }),
      (err: unknown) => {
        assert.ok(err instanceof AgentNodesError);
        assert.match(err.message, /^PERDURE_AGENT_NODES\b/);
        assert.match(err.message, named);
        assert.ok(!err.message.includes('\n') && err.message.length < 300, err.message);
        assert.ok(!err.message.includes(SECRET), 'what may be secret is not shown');
        return true;
      },
    );
  });
}

test('a file that cannot be read, or is not JSON, is named', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'perdure-nodes-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'nodes.json');
  assert.throws(
    () => loadAgentNodes({ file }),
    new AgentNodesError(`PERDURE_AGENT_NODES_FILE: cannot read ${file} (ENOENT)`),
  );
  writeFileSync(file, '{');
  assert.throws(() => loadAgentNodes({ file }), new AgentNodesError(`PERDURE_AGENT_NODES_FILE (${file}) is not JSON`));
});

test('a setting of the environment that cannot be used is one line with its name; an empty one is unset', () => {
  const PERDURE_SECRET_KEYS = `k1:${Buffer.alloc(32, 1).toString('base64')}`;
  const refusalOf = (env: NodeJS.ProcessEnv): string => {
    try {
      loadCommonConfig(env);
    } catch (err) {
      assert.ok(err instanceof ConfigError, String(err));
      assert.ok(!err.message.includes('\n'));
      return err.message;
    }
    return 'taken';
  };
  assert.match(refusalOf({}), /^PERDURE_SECRET_KEYS or PERDURE_SECRET_KEYS_FILE must be set/);
  assert.match(
    refusalOf({ PERDURE_SECRET_KEYS_FILE: '/nowhere/keys' }),
    /^PERDURE_SECRET_KEYS_FILE: cannot read .*ENOENT/,
  );
  for (const value of ['0', '-1', '1e3', '12.5', '99999999', 'many'])
    assert.match(
      refusalOf({ PERDURE_SECRET_KEYS, PERDURE_MAX_RESULT_BYTES: value }),
      /^PERDURE_MAX_RESULT_BYTES: must be a whole/,
    );
  assert.match(refusalOf({ PERDURE_SECRET_KEYS, PERDURE_LOG_LEVEL: 'loud' }), /^PERDURE_LOG_LEVEL: /);
  assert.equal(refusalOf({ PERDURE_SECRET_KEYS, PERDURE_MAX_RESULT_BYTES: '', PERDURE_AGENT_NODES: '' }), 'taken');
});
