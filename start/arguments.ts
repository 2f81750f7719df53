/** What stands between a person and `npm start`: one line, and exit code 1 (2 for a wrong option). */
export class StartError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface Arguments {
  help: boolean;
  examples: boolean;
}

export function readArguments(argv: readonly string[]): Arguments {
  const read = { help: false, examples: true };
  for (const argument of argv) {
    if (argument === '--help' || argument === '-h') read.help = true;
    else if (argument === '--no-examples') read.examples = false;
    else throw new StartError(`unknown option ${argument} (see npm start -- --help)`, 2);
  }
  return read;
}

export const HELP = `Usage: npm start [-- options]

Starts Perdure on this machine: a Temporal dev server, the worker, the API and four example agents. Each is a process
of its own and is started again when it dies. Ctrl-C stops everything, a second Ctrl-C at once.

Options:
  --no-examples  without the example agents
  --help         this text

Environment:
  HOST, PORT                  where the API listens (127.0.0.1, 8080)
  PERDURE_TEMPORAL_PORT       port of the Temporal dev server (7233)
  PERDURE_TEMPORAL_UI_PORT    port of the Temporal Web UI (8233)
  TEMPORAL_ADDRESS            use this Temporal server and start none; so does an address in a Temporal config file
  TEMPORAL_NAMESPACE          namespace (default); the other TEMPORAL_* variables of Temporal's SDKs are honoured too
  TEMPORAL_CLI_PATH           temporal binary to use (see ./temporal-dev.sh --help for where it is looked for)
  PERDURE_DATA_DIR            database, keys and logs (.perdure/ in this folder)
  PERDURE_SECRET_KEYS_FILE    keys that seal secrets (secret-keys in the data folder, made at first start)
  PERDURE_PUBLIC_URL          the API as agents reach it (http://127.0.0.1:PORT)
  PERDURE_AGENT_NODES         agent nodes beside the examples, as JSON: {"my-agent": "http://127.0.0.1:9000"}
  PERDURE_AGENT_NODES_FILE    the same in a file

Worker and API read more; all of their variables are passed on.
`;
