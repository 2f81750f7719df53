/**
 * The roster of a run is its history: an event for each execution that has joined. Nothing is to be done about them,
 * so its first task comes a week after its start, and ends it. Who joins after that begins another one.
 */
export async function runRoster(): Promise<void> {}
