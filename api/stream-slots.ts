import { ApiError } from './errors.ts';

const RETRY_AFTER_S = 5;

/** How many readers one process serves at the same time that stay, by event stream or WebSocket. */
export interface StreamSlots {
  /** Throws `too_many_streams`. @returns gives the place back; the first time it is called */
  take: () => () => void;
}

export function createStreamSlots(max: number): StreamSlots {
  let taken = 0;
  return {
    take: () => {
      if (taken >= max) throw tooManyStreams();
      taken += 1;
      let isTaken = true;
      return () => {
        if (isTaken) taken -= 1;
        isTaken = false;
      };
    },
  };
}

export function tooManyStreams(): ApiError {
  return new ApiError('too_many_streams', 'this process serves as many event streams as it may', {
    retryAfterS: RETRY_AFTER_S,
  });
}
