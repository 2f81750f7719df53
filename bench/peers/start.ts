import { isIsolated } from '../isolate.ts';
import { findPostgres, POSTGRES_HINT, postgresVersion } from '../postgres.ts';
import { startDbos } from './dbos.ts';
import { versionOf } from './install.ts';
import type { Peer, PeerSet } from './peer.ts';
import { hasRestate, restateVersion, startRestate } from './restate.ts';

const NOT_ISOLATED =
  'its server asks the outside for its newest version at every start, and there is no network namespace here to keep ' +
  'it from that (Linux with unshare and ip)';

/** All peers that can be had here; the notes say which, and why another one is missing. */
export async function startPeers(say: (line: string) => void): Promise<PeerSet> {
  const peers: Peer[] = [];
  const notes: string[] = [];
  const leaveOut = (name: string, reason: string) => {
    say(`${name} is left out: ${reason}`);
    notes.push(`${name}: left out, ${reason}`);
  };
  try {
    if (!isIsolated()) leaveOut('Restate', NOT_ISOLATED);
    else if (!hasRestate()) leaveOut('Restate', 'there is no binary of it for this platform');
    else {
      peers.push(await startRestate());
      notes.push('Network: one of its own, with nothing in it but this machine');
      notes.push(`Restate: ${restateVersion()}, SDK ${versionOf('@restatedev/restate-sdk')}`);
    }

    const postgres = findPostgres();
    if (postgres) {
      peers.push(await startDbos(postgres));
      notes.push(`DBOS: ${versionOf('@dbos-inc/dbos-sdk')} on ${postgresVersion(postgres)}`);
    } else leaveOut('DBOS', POSTGRES_HINT);
    return { peers, notes };
  } catch (err) {
    for (const peer of peers) await peer.stop();
    throw err;
  }
}
