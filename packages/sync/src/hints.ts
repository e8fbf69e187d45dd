import { randomBytes } from 'node:crypto'

/** Hints to other processes, as texts that a broker carries. */
export interface Hints {
  /** Never waits, never throws. */
  tell(scopes: readonly string[]): void
  /** What a text tells of; nothing where it is one of our own, or nobody's of us. */
  read(text: string): readonly string[]
}

/** More than this is not told: whoever waits asks the store all the same. */
const MAX_WAITING = 10_000

/**
 * One sending is under way at a time, and what comes meanwhile goes together with the next: a broker that is away or
 * frozen costs no more than this one, and a busy one is spared. What it does not take is not sent again.
 * @param maxBytes of a text
 */
export function createHints(send: (texts: readonly string[]) => Promise<unknown>, maxBytes: number): Hints {
  const self = randomBytes(9).toString('base64url')
  const waiting = new Set<string>()
  let isSending = false

  async function sendAll(): Promise<void> {
    isSending = true
    while (waiting.size > 0) {
      const texts = textsOf(self, [...waiting], maxBytes)
      waiting.clear()
      await (async () => send(texts))().catch(() => {})
    }
    isSending = false
  }

  return {
    tell(scopes) {
      for (const scope of scopes) if (waiting.size < MAX_WAITING) waiting.add(scope)
      if (!isSending) void sendAll()
    },
    read(text) {
      const [from, ...scopes] = parse(text)
      return from === self ? [] : scopes
    },
  }
}

/** As few texts as take them all. */
function textsOf(self: string, scopes: readonly string[], maxBytes: number): readonly string[] {
  const texts: string[] = []
  const head = JSON.stringify(self)
  let text = head
  let bytes = head.length
  for (const scope of scopes) {
    const word = `,${JSON.stringify(scope)}`
    const more = Buffer.byteLength(word)
    // With both brackets.
    if (bytes + more + 2 > maxBytes) {
      texts.push(`[${text}]`)
      ;[text, bytes] = [head, head.length]
    }
    text += word
    bytes += more
  }
  return [...texts, `[${text}]`]
}

function parse(text: string): readonly string[] {
  try {
    const words: unknown = JSON.parse(text)
    return Array.isArray(words) && words.every((word) => typeof word === 'string') ? words : []
  } catch {
    return []
  }
}
