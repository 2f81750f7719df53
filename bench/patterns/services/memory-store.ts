import type { Outcome } from './call-agent.ts';

export interface Execution {
  id: string;
  /** The client's `Idempotency-Key`. */
  key: string;
  input: unknown;
  outcome?: Outcome;
}

export interface Store {
  /** The execution of this key: the one given, unless there is one already. */
  create: (execution: Execution) => { execution: Execution; isNew: boolean };
  find: (id: string) => Execution | undefined;
  end: (id: string, outcome: Outcome) => void;
  unfinished: () => Execution[];
}

export function createMemoryStore(): Store {
  const byId = new Map<string, Execution>();
  const byKey = new Map<string, Execution>();
  return {
    create: (execution) => {
      const known = byKey.get(execution.key);
      if (known) return { execution: known, isNew: false };
      byId.set(execution.id, execution);
      byKey.set(execution.key, execution);
      return { execution, isNew: true };
    },
    find: (id) => byId.get(id),
    end: (id, outcome) => {
      const execution = byId.get(id);
      if (execution) execution.outcome = outcome;
    },
    unfinished: () => [],
  };
}
