/** The monotonic clock in ms, which all processes of a machine share. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
