import { WebhookError } from '../error.ts'
import { judgeAddress, type AddressRules } from './check-address.ts'
import type { ResolveHost } from './options.ts'

const MOST = 3

/** What is never dialled. `reason` is that of `checkAddress` or `checkUrl`: no address, no name. */
export function refusal(reason: string): WebhookError {
  return new WebhookError('URL_REFUSED', `the URL is refused: ${reason}`, { details: { reason } })
}

/**
 * Which of a name's addresses to dial, in turn: the first, the first of the other family (a machine may speak only one),
 * the second.
 * @throws URL_REFUSED when one of them, dialled or not, is refused: a name that points inside is not half trusted.
 */
export function candidates(answers: Awaited<ReturnType<ResolveHost>>, rules: AddressRules): readonly string[] {
  for (const { address } of answers) {
    const check = judgeAddress(address, rules)
    if (!check.allowed) throw refusal(check.reason)
  }
  const [first, ...rest] = answers
  const other = rest.find(({ family }) => family !== first?.family)
  return [...new Set([first, other, ...rest].flatMap((one) => one?.address ?? []))].slice(0, MOST)
}
