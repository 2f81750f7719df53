import { findPostgres, POSTGRES_HINT, postgresVersion } from '../postgres.ts';
import { startDbos } from './dbos.ts';
import { installPeers, versionOf } from './install.ts';
import type { PeerSet } from './peer.ts';
import { restateVersion, startRestate } from './restate.ts';

/** All peers that can be had here; the notes say which, and why another one is missing. */
export async function startPeers(say: (line: string) => void): Promise<PeerSet> {
  installPeers(say);
  const restate = await startRestate();
  const notes = [`Restate: ${restateVersion()}, SDK ${versionOf('@restatedev/restate-sdk')}`];
  const postgres = findPostgres();
  if (!postgres) {
    say(`DBOS is left out: ${POSTGRES_HINT}`);
    return { peers: [restate], notes: [...notes, `DBOS: left out, ${POSTGRES_HINT}`] };
  }
  try {
    const dbos = await startDbos(postgres);
    notes.push(`DBOS: ${versionOf('@dbos-inc/dbos-sdk')} on ${postgresVersion(postgres)}`);
    return { peers: [restate, dbos], notes };
  } catch (err) {
    await restate.stop();
    throw err;
  }
}
