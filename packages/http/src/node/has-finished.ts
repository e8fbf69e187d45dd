import type { ServerResponse } from 'node:http'

/** All of an answer was handed over; one of HTTP/2 knows only that it has ended. */
export function hasFinished(res: ServerResponse): boolean {
  return (res as { writableFinished?: boolean }).writableFinished ?? res.writableEnded
}
