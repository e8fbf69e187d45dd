/** Where Keelson logs: pino fits with no wrapper. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const nothing = (): void => {}

/** The default: a library says nothing unless asked. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }
