/** `SMALL=1`: a look at all cases within two minutes. No figure of it counts. */
const isSmall = process.env['SMALL'] === '1'

/** Records of the large table, and of the small one that it is compared with. */
export const LARGE = isSmall ? 50_000 : 1_000_000
export const FEW = 10_000
/** What a device that has nothing is told. */
export const SNAPSHOT = isSmall ? 20_000 : 200_000
/** What others commit while one transaction stays open. */
export const CHANGES = isSmall ? 5_000 : 100_000
/** What a device has, and what of it is edited. */
export const RECORDS = isSmall ? 1_000 : 10_000
export const EDITS = 100
/** What a device has not sent when one more edit comes. */
export const PENDING = isSmall ? 5_000 : 100_000
