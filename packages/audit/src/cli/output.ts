import { once } from 'node:events'

/** Waits while the reader does. A reader that has gone ends the process quietly (main.ts). */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain')
}

/** For the person, not for what reads the output. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
