import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { httpServer, sendJson } from '../support/http-server.ts';
import type { Body, System } from '../support/system.ts';
import { freePort, ROOT } from '../support/temporal.ts';

export const LANGUAGES = ['ts', 'py'] as const;
export type Language = (typeof LANGUAGES)[number];
type Context = Pick<TestContext, 'after'>;

/** One process of a node, with the helper library of its language. */
export interface Instance {
  url: string;
  pid: () => number;
  /** Resolves once it has registered. */
  start: () => Promise<void>;
  kill: () => Promise<void>;
  /** By SIGTERM; its exit code. */
  stop: () => Promise<number | null>;
}

export async function instanceOf(
  t: Context,
  { node, language, heartbeatMs }: { node: string; language: Language; heartbeatMs: number },
  { url: perdure, get }: Pick<System, 'url' | 'get'>,
): Promise<Instance> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = join(ROOT, 'test/sdk', `agent.${language}`);
  const [command, ...args] = language === 'ts' ? [process.execPath, '--import', 'tsx', file] : ['python3', file];
  let child: ChildProcess | undefined;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    return (await gone)[0];
  };
  t.after(async () => void (await end('SIGKILL')));
  const liveIds = async (): Promise<string[]> => {
    const instances: Body[] = (await get(`/api/v1/nodes/${node}`)).body?.instances ?? [];
    return instances.filter((one) => one.base_url === url && one.status === 'live').map((one) => one.instance_id);
  };
  return {
    url,
    pid: () => child?.pid ?? 0,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
    start: async () => {
      const before = await liveIds();
      const env = { PERDURE_URL: perdure, NODE_NAME: node, HEARTBEAT_MS: String(heartbeatMs), PORT: String(port) };
      child = spawn(command, args, {
        cwd: ROOT,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      await eventually(`${node} has registered`, async () => {
        assert.equal(child?.exitCode, null, `${node} has ended`);
        return (await liveIds()).some((id) => !before.includes(id));
      });
    },
  };
}

/** Asks until it is so. */
export async function eventually(what: string, isSo: () => Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  for (const deadline = Date.now() + deadlineMs; Date.now() < deadline; await sleep(25)) if (await isSo()) return;
  throw new Error(`not in time: ${what}`);
}

/** What an agent told the outside world. */
export interface Told {
  name: string;
  pid: number;
  at: number;
  attempt?: number;
  from?: number;
}

/**
 * The outside world of the agents. What has the same name is one effect: it is had once and answered as it was then. The
 * test may hold back the answer of one.
 */
export async function outsideWorld(t: Context) {
  const told: Told[] = [];
  const effects = new Map<string, number>();
  const held: ServerResponse[] = [];
  let isHeld: (one: Told) => boolean = () => false;
  const server = await httpServer(t, ({ body, at }, response) => {
    const one = { ...JSON.parse(body), at } as Told;
    if (!effects.has(one.name)) effects.set(one.name, effects.size + 1);
    told.push(one);
    if (isHeld(one)) held.push(response);
    else sendJson(response, 200, effects.get(one.name));
  });
  return {
    url: server.url,
    told,
    effects,
    hold: (isWanted: (one: Told) => boolean) => (isHeld = isWanted),
    /** From now on all is answered. */
    release: () => {
      isHeld = () => false;
      for (const response of held.splice(0)) sendJson(response, 200, 0);
    },
    until: async (isWanted: (one: Told) => boolean): Promise<Told> => {
      await server.waitFor(1, ({ body, at }) => isWanted({ ...JSON.parse(body), at }));
      const found = told.find(isWanted);
      assert.ok(found);
      return found;
    },
  };
}
