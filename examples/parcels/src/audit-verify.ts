import { verifyTiles } from '@keelson/audit/verify'
import type { Environment } from './environment.ts'

/**
 * `audit:verify` reads and hashes the log of the database again; `audit:verify <folder> <verifier>` a copy of the log,
 * which needs nothing but the public half of its key. Rejects when something is wrong.
 */
export async function verifyAudit(environment: Environment, [folder, verifier]: readonly string[]): Promise<object> {
  if (folder !== undefined) return verifyTiles(folder, { keys: verifier === undefined ? [] : [verifier] })
  return verifyDatabase(environment)
}

async function verifyDatabase(environment: Environment): Promise<object> {
  if (environment.AUDIT_KEY === undefined) throw new Error('AUDIT_KEY is not set: nobody knows who signed')
  const [{ postgresStore }, { openAudit }, { openDatabase }] = await Promise.all([
    import('@keelson/audit/postgres'),
    import('./audit.ts'),
    import('./system.ts'),
  ])
  const { db, end } = await openDatabase(environment)
  const audit = openAudit(environment, postgresStore(db))
  try {
    const { problems, ...verdict } = await audit.verify()
    if (verdict.ok) return verdict
    const found = problems.map(
      ({ code, index, detail }) => `${code}${index === undefined ? '' : ` ${index}`}: ${detail}`,
    )
    throw new Error(`the audit log is not as it was sealed: ${found.join('; ')}`)
  } finally {
    await audit.close()
    await end()
  }
}
