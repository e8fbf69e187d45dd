#!/usr/bin/env node
import { tell } from './output.ts'
import { run } from './run.ts'

// 'keelson-audit export … | head': nobody reads on, and that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})

void run(process.argv.slice(2)).then(({ code, problem }) => {
  process.exitCode = code
  if (problem !== undefined) tell(problem)
})
