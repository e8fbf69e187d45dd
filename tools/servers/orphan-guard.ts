/**
 * A test server must not outlive the process that started it, however that process dies. A shell holds the read end of
 * a pipe whose only writer is us: its end of file is our death, seen at once and without polling.
 */
import { spawn } from 'node:child_process'

/**
 * Each line on stdin names the processes as they are now, the server first, then whoever is stopped with it.
 * SIGQUIT ends postgres, pgbouncer and redis at once; SIGCONT, because a stopped process sleeps through SIGQUIT.
 */
const script = `
while read -r line; do pids=$line; done
for server in $pids; do
  kill -QUIT $server; kill -CONT $pids
  tries=50; while [ $tries -gt 0 ] && kill -0 $server; do sleep 0.1; tries=$((tries - 1)); done
  kill -KILL $pids
  break
done 2>/dev/null
rm -rf "$1"`

/** Ends a server and removes its folder after our death. */
export interface OrphanGuard {
  /** The processes to end, the server first; replaces the last call's. */
  watch(pids: readonly number[]): void
  /** The server was stopped properly: nothing is left to do. */
  dismiss(): void
}

/** Guards `folder` and, from the first `watch` on, a server. */
export function guardOrphans(folder: string): OrphanGuard {
  // Detached: Ctrl-C reaches the whole foreground group, and the guard has to survive us.
  const shell = spawn('sh', ['-c', script, 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  shell.on('error', () => {}) // no `sh`: then there is only no guard
  shell.stdin.on('error', () => {})
  shell.unref()
  return {
    watch: (pids) => void shell.stdin.write(`${pids.join(' ')}\n`),
    dismiss: () => void shell.kill('SIGKILL'),
  }
}
