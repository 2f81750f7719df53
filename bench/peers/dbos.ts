import { freePorts } from '../../start/ports.ts';
import { createBenchClient } from '../client.ts';
import { startScript } from '../part.ts';
import type { PostgresBinaries } from '../postgres.ts';
import { startPostgres } from '../postgres.ts';
import type { Peer } from './peer.ts';

/** DBOS with its default settings, inside a small HTTP server, on a PostgreSQL with its default settings. */
export async function startDbos(binaries: PostgresBinaries): Promise<Peer> {
  const postgres = await startPostgres(binaries);
  const [port = 0] = await freePorts(1, '127.0.0.1');
  const http = createBenchClient();
  const service = startScript('bench/peers/dbos-service.mjs', {
    BENCH_PORT: String(port),
    NODE_NO_WARNINGS: '1',
    BENCH_DATABASE_URL: postgres.urlOf('dbos'),
  });
  const stop = async () => {
    await http.close();
    await service.stop();
    await postgres.stop();
  };
  try {
    await service.message();
  } catch (err) {
    await stop();
    throw err;
  }

  const base = `http://127.0.0.1:${port}`;
  return {
    name: 'dbos',
    title: 'E DBOS',
    pids: () => ({ 'dbos service': [service.pid], postgres: [postgres.pid] }),
    call: async (work) => void (await http.send(`${base}/call`, work)),
    // The id is the workflow's: a repeated submit counts once in any case.
    submit: async (work) => void (await http.send(`${base}/submit`, work)),
    // Whoever keeps PostgreSQL up keeps it up: what is killed is what runs the work.
    parts: { service },
    stop,
  };
}
