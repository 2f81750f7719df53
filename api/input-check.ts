import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import type { JsonObject } from '../workflows/execution.ts';
import type { Flaw } from './errors.ts';

/** Schemas come from agents: what is compiled of them is dropped with the registration that brought it. */
const compiled = new WeakMap<JsonObject, ValidateFunction | 'unusable'>();

/**
 * What is wrong with an input by the JSON Schema (2020-12) that its reasoner has registered. A schema that cannot be
 * used, for one that refers to another one, refuses nothing.
 */
export function flawsOfInput(input: unknown, schema: JsonObject): Flaw[] {
  const known = compiled.get(schema) ?? compile(schema);
  compiled.set(schema, known);
  if (known === 'unusable' || known(input)) return [];
  return (known.errors ?? []).map(({ instancePath, message = 'does not match', params }) => {
    const unknown = (params as { additionalProperty?: string }).additionalProperty;
    return {
      path: `$.input${pathOf(instancePath)}`,
      message: unknown ? `${message}: ${unknown.slice(0, 64)}` : message,
    };
  });
}

function compile(schema: JsonObject): ValidateFunction | 'unusable' {
  // One of its own for each: two schemas may have the same $id.
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false, addUsedSchema: false });
  // The package's types are those of CommonJS.
  (formats as unknown as typeof formats.default)(ajv);
  try {
    return ajv.compile(schema);
  } catch {
    return 'unusable';
  }
}

/** A JSON Pointer (RFC 6901) as paths are told elsewhere. */
function pathOf(pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) =>
      /^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll('~1', '/').replaceAll('~0', '~').slice(0, 64)}`,
    )
    .join('');
}
