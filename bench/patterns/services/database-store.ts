import { createRequire } from 'node:module';
import type { Outcome } from './call-agent.ts';
import type { Execution, Store } from './memory-store.ts';

/** What is used of `libsql`, SQLite with the interface of better-sqlite3; it is installed only for this comparison. */
interface Database {
  pragma: (text: string) => unknown;
  exec: (sql: string) => void;
  prepare: (sql: string) => {
    run: (...values: unknown[]) => { changes: number };
    get: (...values: unknown[]) => Row | undefined;
    all: () => Row[];
  };
}

interface Row {
  id: string;
  key: string;
  input: string;
  outcome: string | null;
}

/** One row per execution. Every write is on disk before it returns. */
export function createDatabaseStore(file: string): Store {
  const Libsql = createRequire(import.meta.url)('libsql') as new (file: string) => Database;
  const database = new Libsql(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec(
    'CREATE TABLE IF NOT EXISTS execution (id TEXT PRIMARY KEY, key TEXT UNIQUE, input TEXT, outcome TEXT)',
  );
  const insert = database.prepare('INSERT INTO execution (id, key, input) VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
  const byKey = database.prepare('SELECT * FROM execution WHERE key = ?');
  const byId = database.prepare('SELECT * FROM execution WHERE id = ?');
  const end = database.prepare('UPDATE execution SET outcome = ? WHERE id = ? AND outcome IS NULL');
  const unfinished = database.prepare('SELECT * FROM execution WHERE outcome IS NULL');

  return {
    create: (execution) => {
      const { changes } = insert.run(execution.id, execution.key, JSON.stringify(execution.input));
      if (changes > 0) return { execution, isNew: true };
      const row = byKey.get(execution.key);
      if (!row) throw new Error('neither inserted nor found');
      return { execution: toExecution(row), isNew: false };
    },
    find: (id) => {
      const row = byId.get(id);
      return row && toExecution(row);
    },
    end: (id, outcome) => {
      end.run(JSON.stringify(outcome), id);
    },
    unfinished: () => unfinished.all().map(toExecution),
  };
}

function toExecution({ id, key, input, outcome }: Row): Execution {
  return {
    id,
    key,
    input: JSON.parse(input) as unknown,
    ...(outcome !== null && { outcome: JSON.parse(outcome) as Outcome }),
  };
}
