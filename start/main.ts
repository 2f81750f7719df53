import { relative } from 'node:path';
import { onStopSignal } from '../common/stop-signals.ts';
import { HELP, readArguments, StartError } from './arguments.ts';
import { createChild } from './child.ts';
import type { Child, ChildSpec } from './child.ts';
import { createGuard } from './guard.ts';
import { isPortFree } from './ports.ts';
import { checkServiceSettings, prepareDataDir } from './preparation.ts';
import { findExamples, serviceSpecs, temporalSpec } from './processes.ts';
import { untilReady } from './readiness.ts';
import { readSettings } from './settings.ts';
import type { Settings } from './settings.ts';
import { welcome } from './welcome.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const { help, examples: withExamples } = readArguments(process.argv.slice(2));
  if (help) return say(HELP);

  const settings = readSettings(process.env);
  await checkPorts(settings);
  prepareDataDir(settings);
  checkServiceSettings(settings, process.env);

  const supervisor = createSupervisor(settings.logDir);
  stopOnSignals(supervisor);
  try {
    if (settings.temporal.embedded) await startTemporal(supervisor, settings);
    const examples = withExamples ? await findExamples(settings, say) : [];
    if (supervisor.isStopping()) return;
    for (const spec of serviceSpecs(settings, examples, process.env)) supervisor.add(spec).start();
    say('starting worker, API and agents');
    await untilReady(supervisor.services(), say, supervisor.isStopping);
    if (supervisor.isStopping()) return;
    say(welcome(settings, examples, supervisor.children(), shortPath(settings.logDir)));
  } catch (err) {
    say(describe(err));
    await supervisor.stop();
    process.exit(1);
  }
}

async function checkPorts({ host, port, temporal }: Settings): Promise<void> {
  const wanted = [{ host, port, what: 'API', variable: 'PORT' }];
  if (temporal.embedded) {
    wanted.push(
      { host: '127.0.0.1', port: temporal.port, what: 'Temporal server', variable: 'PERDURE_TEMPORAL_PORT' },
      { host: '127.0.0.1', port: temporal.uiPort, what: 'Temporal Web UI', variable: 'PERDURE_TEMPORAL_UI_PORT' },
    );
  }
  for (const { what, variable, ...place } of wanted) {
    const same = wanted.find((other) => other.port === place.port && other.variable !== variable);
    if (same) throw new StartError(`${variable} and ${same.variable} are the same port, ${place.port}: change one`);
    const isFree = await isPortFree(place.port, place.host).catch((err: Error) => {
      throw new StartError(`the ${what} cannot listen on ${place.host}:${place.port}: ${err.message}`);
    });
    if (!isFree)
      throw new StartError(`port ${place.port} of the ${what} is in use: stop what uses it, or set ${variable}`);
  }
}

interface Supervisor {
  add: (spec: ChildSpec) => Child;
  children: () => readonly Child[];
  /** All but Temporal. */
  services: () => readonly Child[];
  isStopping: () => boolean;
  stop: () => Promise<void>;
  kill: () => void;
}

function createSupervisor(logDir: string): Supervisor {
  const guard = createGuard();
  const children: Child[] = [];
  const isTemporal = (child: Child): boolean => child.name === 'temporal';
  const services = (): Child[] => children.filter((child) => !isTemporal(child));
  let isStopping = false;
  const changed = (): void =>
    guard.watch(
      services().map((child) => child.pid()),
      children.filter(isTemporal).map((child) => child.pid()),
    );
  return {
    add(spec) {
      const child = createChild(spec, logDir, { say: (line) => say(`perdure: ${line}`), changed });
      children.push(child);
      return child;
    },
    children: () => children,
    services,
    isStopping: () => isStopping,
    async stop() {
      isStopping = true;
      // Temporal last: a worker that drains has results to report.
      await Promise.all(services().map((child) => child.stop()));
      await Promise.all(children.map((child) => child.stop()));
      guard.dismiss();
    },
    kill() {
      isStopping = true;
      for (const child of children) child.kill();
    },
  };
}

/** Resolves when temporal-dev.sh says that all is ready, however long it takes to get the CLI. */
async function startTemporal(supervisor: Supervisor, settings: Settings): Promise<void> {
  const { temporal } = settings;
  if (!temporal.embedded) return;
  let isReady = false;
  let failure: string | undefined;
  const child = supervisor.add(
    temporalSpec(settings, temporal, process.env, (line) => {
      if (!line.startsWith('temporal-dev: ')) return;
      say(line);
      if (line.includes(': ready on ')) isReady = true;
      if (line.includes(' is not ready ')) failure = 'Temporal does not come up';
    }),
  );
  child.start();
  while (!isReady && !supervisor.isStopping()) {
    if (child.deaths() > 0) failure = 'Temporal did not start';
    if (failure !== undefined) {
      // What the script says has been shown already.
      const unseen = child.lastLines().filter((line) => !line.startsWith('temporal-dev: '));
      throw new StartError([failure, ...unseen].join('\n  '));
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function stopOnSignals(supervisor: Supervisor): void {
  const stop = (): void => {
    say('\nstopping (Ctrl-C again: at once)');
    supervisor.stop().then(
      () => process.exit(0),
      (err: unknown) => {
        say(describe(err));
        process.exit(1);
      },
    );
  };
  const again = (): void => {
    supervisor.kill();
    process.exit(1);
  };
  const receive = onStopSignal(stop, { signals: ['SIGINT', 'SIGTERM', 'SIGHUP'], again });
  // With the terminal gone there is nobody to tell, which is no reason to leave without stopping the children.
  process.stdout.on('error', () => {});

  // A shell between npm and us does not pass on the SIGTERM that npm gives it; it just dies.
  const parent = process.ppid;
  if (process.env['npm_lifecycle_event'] !== undefined) {
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      receive('SIGTERM');
    }, 500);
  }
}

function shortPath(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

function describe(err: unknown): string {
  if (err instanceof StartError) return `perdure: ${err.message}`;
  return `perdure: ${err instanceof Error ? err.stack : String(err)}`;
}

main().catch((err: unknown) => {
  process.stderr.write(`${describe(err)}\n`);
  process.exitCode = err instanceof StartError ? err.exitCode : 1;
});
