export { WebhookError, type WebhookErrorCode } from '../error.ts'
export type { Inbox, InboxCall } from '../verify/inbox.ts'
export type { VerifyHeaders } from '../verify/verifier.ts'
export { requestSigner, type RequestSigner, type RequestSignerOptions, type RequestToSign } from './request-signer.ts'
export {
  requestVerifier,
  type PrincipalKey,
  type RequestToVerify,
  type RequestVerifier,
  type RequestVerifierOptions,
  type VerifiedRequest,
} from './request-verifier.ts'
export type { SigningKey } from './signing-key.ts'
