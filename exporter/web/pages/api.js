// The read API, beside this page.

export class Refusal extends Error {
  constructor(status, words) { super(words); this.status = status; }
}

/** The JSON of `api/v1/<path>`; a refusal says why in the server's own plain words. */
export async function ask(path, options = {}) {
  const response = await fetch(`api/v1/${path}`, { signal: AbortSignal.timeout(15000), ...options });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, body?.error?.message ?? `answered with ${response.status}`);
  return body;
}
