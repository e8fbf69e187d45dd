import type { Command, Outcome, Send } from './driver.ts'
import type { PipelineCommand, RedisReply } from './port.ts'
import type { Script } from './script.ts'

/**
 * Sends commands and scripts in one flight. Where the server does not know a script, that one and all behind it go
 * once more, in order, and every script among them with its text: no third flight can be needed.
 */
export async function sendPipeline(send: Send, commands: readonly PipelineCommand[]): Promise<RedisReply[]> {
  const outcomes = await send(commands.map((command) => words(command, 'EVALSHA')))
  const unknown = outcomes.findIndex((outcome, i) => 'script' in commands[i]! && isNoScript(outcome))
  if (unknown < 0) return outcomes.map(replyOf)
  const again = await send(commands.slice(unknown).map((command) => words(command, 'EVAL')))
  return [...outcomes.slice(0, unknown), ...again].map(replyOf)
}

function words(command: PipelineCommand, how: 'EVALSHA' | 'EVAL'): Command {
  if (!('script' in command)) return command
  const { script, keys, args } = command
  return [how, text(script, how), keys.length, ...keys, ...args]
}

function text(script: Script, how: 'EVALSHA' | 'EVAL'): string {
  return how === 'EVALSHA' ? script.sha : script.lua
}

function isNoScript(outcome: Outcome): boolean {
  return outcome.kind === 'error' && outcome.error.message.startsWith('NOSCRIPT')
}

function replyOf(outcome: Outcome): RedisReply {
  if (outcome.kind === 'error') throw outcome.error
  return outcome.reply
}
