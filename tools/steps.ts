/** One named job of a script: what it found wrong, a line each; nothing when all is well. */
export interface Step {
  readonly name: string
  run(): Promise<readonly string[]> | readonly string[]
}

/** Runs the steps at once, prints each with its seconds, then what failed. True when nothing did. */
export async function runSteps(steps: readonly Step[]): Promise<boolean> {
  const results = await Promise.all(
    steps.map(async ({ name, run }) => {
      const startMs = performance.now()
      const faults = await attempt(run)
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
      console.log(`${faults.length === 0 ? '✓' : '✗'} ${name} (${seconds} s)`)
      return { name, faults }
    }),
  )
  for (const { name, faults } of results) {
    if (faults.length > 0) console.error(`\n${name}:\n${faults.join('\n')}`)
  }
  return results.every(({ faults }) => faults.length === 0)
}

/** A step that throws has failed like any other: the rest still ends and is printed. */
async function attempt(run: Step['run']): Promise<readonly string[]> {
  try {
    return await run()
  } catch (error) {
    return [error instanceof Error ? String(error.stack) : String(error)]
  }
}
