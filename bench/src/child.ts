/** A process of its own for what must not share ours: servers, heaps, second nodes. */
import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process that runs a module which called `serveParent`. */
export interface Child {
  /** What it answers to `question`. One at a time. Rejects when it fails, or ends before. */
  ask<T>(question: object): Promise<T>
  /** Lets it exit by itself, and waits for that. */
  stop(): Promise<void>
}

/** Starts `module` and waits until it listens. */
export async function startChild(
  module: URL,
  args: readonly string[],
  { execArgv = [], cwd = process.cwd() }: { execArgv?: readonly string[]; cwd?: string } = {},
): Promise<Child> {
  const child = fork(module, args, { cwd, execArgv: [...process.execArgv, ...execArgv] })
  const ended = once(child, 'exit')
  const answer = async <T>(): Promise<T> => {
    const exit = ended.then(([code]) => Promise.reject(new Error(`${module.pathname} ended with code ${code}`)))
    const [message] = (await Promise.race([once(child, 'message'), exit])) as [{ value: T } | { error: string }]
    if ('error' in message) throw new Error(message.error)
    return message.value
  }
  ended.catch(() => {})
  await answer()
  return {
    ask(question) {
      const answered = answer<never>()
      child.send(question)
      return answered
    },
    async stop() {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}

/** In the child: answers each question, and ends when the parent has gone. Sends a first sign of life. */
export function serveParent<Q extends object>(answer: (question: Q) => unknown): void {
  process.on('message', async (question: Q) => {
    try {
      process.send!({ value: await answer(question) })
    } catch (error) {
      process.send!({ error: error instanceof Error ? error.stack : String(error) })
    }
  })
  process.on('disconnect', () => process.exit())
  process.send!({ value: undefined })
}
