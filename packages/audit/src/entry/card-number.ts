/*
 * Card numbers (PAN): ISO/IEC 7812-1. Issuer ranges and lengths: Wikipedia, "Payment card number", together with the
 * table of braintree/credit-card-type; where the two differ, both count. Left out: UATP (1…), which PCI DSS does not
 * cover, and Maestro's claim on everything that begins with 6: one number of ten passes Luhn, and ids are numbers too.
 */
const RANGES: readonly (readonly [first: string, last: string, ...lengths: number[]])[] = [
  ['4', '4', 13, 16, 18, 19], // Visa
  ['493698', '493698', 13, 14, 15, 16, 17, 18, 19], // Maestro
  ['51', '55', 16], // Mastercard, Diners of North America
  ['2221', '2720', 16], // Mastercard
  ['34', '34', 15], // American Express
  ['37', '37', 15],
  ['6011', '6011', 16, 17, 18, 19], // Discover
  ['644', '659', 16, 17, 18, 19], // Discover, RuPay, Troy
  ['300', '305', 14, 15, 16, 17, 18, 19], // Diners Club
  ['3095', '3095', 14, 15, 16, 17, 18, 19],
  ['36', '36', 14, 15, 16, 17, 18, 19],
  ['38', '39', 14, 15, 16, 17, 18, 19],
  ['3528', '3589', 16, 17, 18, 19], // JCB, RuPay, LankaPay
  ['1800', '1800', 15, 16],
  ['2131', '2131', 15, 16],
  ['62', '62', 14, 15, 16, 17, 18, 19], // UnionPay
  ['81', '82', 14, 15, 16, 17, 18, 19], // UnionPay, RuPay
  ['50', '50', 13, 14, 15, 16, 17, 18, 19], // Maestro, Verve, Elo, RuPay, Dankort
  ['56', '59', 13, 14, 15, 16, 17, 18, 19], // Maestro
  ['63', '63', 13, 14, 15, 16, 17, 18, 19], // Maestro, Elo, Hiper, InterPayment, InstaPayment
  ['67', '67', 13, 14, 15, 16, 17, 18, 19], // Maestro
  ['60', '60', 16], // RuPay, Hipercard
  ['2200', '2205', 16, 17, 18, 19], // Mir, Borica
  ['9792', '9792', 16], // Troy
  ['8600', '8600', 16], // Uzcard
  ['9860', '9860', 16], // Humo
]
const MIN_DIGITS = 13
const MAX_DIGITS = 19

/** No text without a match has a card number; most texts end here. */
const MAYBE = /\d(?:[ -]?\d){12}/

/** What has this form is an id: its groups of digits would be a card number once in some 40,000. */
const UUID = /(?<![0-9a-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-z])/gi

/** The text with `[pan:1111]` for each card number in it; the same text when there is none. */
export function withoutCards(text: string): string {
  return text.length >= MIN_DIGITS && MAYBE.test(text) ? cut(text) : text
}

/**
 * A number is made of whole groups of digits, with one space or hyphen between two groups. From left to right, the
 * longest that fits: three digits behind it may be its security code.
 */
function cut(text: string): string {
  let kept = ''
  let keptTo = 0
  let at = 0
  while (at < text.length) {
    if (!isDigit(text.charCodeAt(at))) {
      at++
      continue
    }
    const end = isAlphanumeric(text.charCodeAt(at - 1)) ? -1 : endOfCard(text, at)
    if (end === -1) {
      while (isDigit(text.charCodeAt(at))) at++
      continue
    }
    kept += `${text.slice(keptTo, at)}[pan:${lastFour(text, end)}]`
    keptTo = at = end
  }
  return kept + text.slice(keptTo)
}

/**
 * Where the longest card number ends that begins at a group, or -1. Luhn (ISO/IEC 7812-1, annex B) doubles every second
 * digit from the end, which is not known yet: both sums are kept, by whether an index is odd.
 */
function endOfCard(text: string, start: number): number {
  let found = -1
  let digits = 0
  const plain: [number, number] = [0, 0]
  const doubled: [number, number] = [0, 0]
  for (let at = start; digits <= MAX_DIGITS; at++) {
    const code = text.charCodeAt(at)
    if (isDigit(code)) {
      const digit = code - 0x30
      const odd = (digits & 1) as 0 | 1
      plain[odd] += digit
      doubled[odd] += digit > 4 ? digit * 2 - 9 : digit * 2
      digits++
      continue
    }
    if (digits >= MIN_DIGITS && !isAlphanumeric(code)) {
      const odd = (digits & 1) as 0 | 1
      const passes = (doubled[odd] + plain[odd === 0 ? 1 : 0]) % 10 === 0
      if (passes && isIssued(text.slice(start, at)) && !isInUuid(text, start, at)) found = at
    }
    if (!isSeparator(code) || !isDigit(text.charCodeAt(at + 1))) break
  }
  return found
}

function isIssued(number: string): boolean {
  const digits = number.replaceAll(/\D/g, '')
  return RANGES.some(([first, last, ...lengths]) => {
    const prefix = digits.slice(0, first.length)
    return prefix >= first && prefix <= last && lengths.includes(digits.length)
  })
}

function lastFour(text: string, end: number): string {
  const digits = text.slice(Math.max(0, end - 8), end).replaceAll(/\D/g, '')
  return digits.slice(-4)
}

function isInUuid(text: string, start: number, end: number): boolean {
  const around = text.slice(Math.max(0, start - 37), end + 37)
  const from = start - Math.max(0, start - 37)
  for (const { index, 0: uuid } of around.matchAll(UUID)) {
    if (index <= from && from + (end - start) <= index + uuid.length) return true
  }
  return false
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** NaN, beyond either end of a text, is nothing. */
function isAlphanumeric(code: number): boolean {
  return isDigit(code) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)
}

function isSeparator(code: number): boolean {
  return code === 0x20 || code === 0x2d
}
