import { checkOptions, isScope, opt } from '@keelson/kernel'
import { optionFailure, WebhookError } from '../error.ts'
import type { Inbox } from './inbox.ts'
import { rawBody } from './raw-body.ts'
import { tracedVerification } from './traced-verification.ts'
import type { Verified, Verifier, VerifyInput } from './verifier.ts'

/** What `createReceiver` takes. */
export interface ReceiverOptions {
  readonly verifier: Verifier
  /** Without one every good message is handled, also the second time. */
  readonly inbox?: Inbox
  /** The sender, or the tenant it sends for: keys of the inbox are its own. */
  readonly scope: string
  /** Default 1 MiB. */
  readonly maxBodyBytes?: number
}

/** What became of a message. */
export interface Received {
  /** Answer 2xx to 'processed' and 'duplicate'; 'busy' is one whose first copy is still at work, or may have run. */
  readonly outcome: 'processed' | 'duplicate' | 'busy'
  /** Of 'busy', where it is known: ms until it is worth to ask again. */
  readonly retryAfter?: number
  readonly event: Verified
}

/** The receiving end of webhooks. */
export interface Receiver {
  /**
   * Verifies a request, and has it handled once. What `handle` throws comes out as it is and frees the message: the
   * sender's next attempt is handled. Nothing is stored before the signature is good.
   * @throws WebhookError with a code of the README's list, and what the inbox throws.
   */
  receive(request: VerifyInput, handle: (event: Verified) => Promise<void>): Promise<Received>
}

const SPEC = {
  verifier: opt.required(opt.port<Verifier>(['verify'])),
  inbox: opt.port<Inbox>(['consume']),
  scope: opt.custom<unknown>('a scope', () => true),
  maxBodyBytes: opt.integer(1_048_576),
}

/**
 * Verified, and handled once: the two that belong together.
 * @throws WebhookError OPTION_INVALID, SCOPE_INVALID
 */
export function createReceiver(options: ReceiverOptions): Receiver {
  const { verifier, inbox, scope, maxBodyBytes } = checkOptions('createReceiver', options, SPEC, optionFailure)
  if (!isScope(scope)) {
    throw new WebhookError('SCOPE_INVALID', '"scope" must be 1 to 128 bytes of UTF-8 without control characters')
  }
  const op = `webhook:${verifier.scheme}`

  async function verify(request: VerifyInput): Promise<Verified> {
    const body = rawBody(request.body)
    if (body.length > maxBodyBytes) {
      throw new WebhookError('BODY_TOO_LARGE', `the body has ${body.length} bytes, ${maxBodyBytes} are allowed`)
    }
    return verifier.verify({ ...request, body })
  }

  return {
    async receive(request, handle) {
      const event = await tracedVerification(verifier.scheme, () => verify(request))
      const work = async (): Promise<void> => handle(event)
      if (inbox === undefined) {
        await work()
        return { outcome: 'processed', event }
      }
      const consumed = await inbox.consume({ scope, op, key: event.dedupeKey }, work)
      if (typeof consumed === 'string') return { outcome: consumed, event }
      return 'busy' in consumed ? { outcome: 'busy', retryAfter: consumed.busy, event } : { outcome: 'busy', event }
    },
  }
}
