/** Names of members whose values are never kept: those that contain one of these, */
const CONTAINED = ['password', 'passwd', 'secret', 'token', 'authorization', 'cookie', 'apikey', 'privatekey']
/** and these. PCI DSS, requirement 3.3: security codes, PINs and track data are not stored after authorization. */
const EXACT = new Set(['cvv', 'cvv2', 'cvc', 'cvc2', 'pin', 'track1', 'track2'])

/** A rule for names; `more` are contained ones too. */
export function secretNames(more: readonly string[]): (name: string) => boolean {
  const contained = [...CONTAINED, ...more.map(bare)]
  return (name) => {
    const plain = bare(name)
    return EXACT.has(plain) || contained.some((one) => plain.includes(one))
  }
}

/** A name without its case and its separators: `X-Api_Key` is `xapikey`. */
export function bare(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]/gu, '')
}
