/** Processor time of this thread in us: work that never waits takes the same on a busy machine as on a quiet one. */
export function cpuTimeUs(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}
