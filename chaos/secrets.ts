/**
 * Canaries: secrets that a client gives with its webhook and an operator with an agent node, all with the same rare
 * word in them, so that one search finds any that got out.
 */
const WORD = 'canary7Qx';
/** As it stands in a `whsec_` secret, which is base64: encoded so that the word is readable in the text itself. */
const FILL = 'AAAAAAAAAAAAAAAAAAAAAAAAAAA';

export interface WebhookSecrets {
  secret: string;
  header: string;
  query: string;
}

export function webhookSecrets(seed: number, n: number): WebhookSecrets {
  const own = `${seed}x${n}`;
  return {
    // The canary word has only letters and digits, so the whole is valid base64 of 33 bytes and more.
    secret: `whsec_${padded(`${WORD}${own}${FILL}`)}`,
    header: `${WORD}-header-${own}`,
    query: `${WORD}-query-${own}`,
  };
}

export const NODE_SECRET = `Bearer ${WORD}-node`;

export function hasSecret(text: string): boolean {
  return text.includes(WORD);
}

function padded(text: string): string {
  return text.padEnd(Math.ceil(text.length / 4) * 4, 'A');
}
