import { defaultPayloadConverter } from '@temporalio/common';
import type { LoadedDataConverter } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';

/** The first value of what Temporal has stored of somebody; undefined where there is none. */
export async function decodeFirst<T>(
  payloads: temporal.api.common.v1.IPayloads | null | undefined,
  converter: LoadedDataConverter | undefined,
): Promise<T | undefined> {
  let list = payloads?.payloads ?? [];
  for (const codec of [...(converter?.payloadCodecs ?? [])].reverse()) list = await codec.decode(list);
  const [first] = list;
  return first && (converter?.payloadConverter ?? defaultPayloadConverter).fromPayload<T>(first);
}
