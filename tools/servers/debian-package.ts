/** The one place that changes the machine, and it says so first: a missing test server on Debian or Ubuntu, as root. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

const INSTALL_TIMEOUT_MS = 300_000

/** Test processes start together: whoever gets the lock second finds the package there. */
const script = `
dpkg-query --show --showformat '\${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed && exit
apt-get update -qq # a broken third-party source must not stop us: if it matters, the install fails and says so
apt-get install -y -qq --no-install-recommends "$1"`

/** Whether `installDebianPackage` may be called here. */
export function canInstallDebianPackages(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
}

/**
 * Announces and installs one package. Does nothing when it is there. Throws with apt's own words.
 *
 * We want the binary, not Debian's service: RUNLEVEL=1 keeps SysV init from starting it. systemd does not listen to
 * that; a service it starts has its own port and is in nobody's way.
 */
export async function installDebianPackage(name: string): Promise<void> {
  console.error(
    `keelson tests: installing the Debian package ${name} (apt-get install --no-install-recommends ${name})`,
  )
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', UCF_FORCE_CONFFOLD: '1', RUNLEVEL: '1' }
  await promisify(execFile)('flock', ['/var/lib/apt', 'sh', '-c', script, 'sh', name], {
    env,
    timeout: INSTALL_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
}
