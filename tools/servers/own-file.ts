import { lstat } from 'node:fs/promises'

/** True for a plain file of this user. The temp folder is everybody's: another user's file there is not ours. */
export async function isOwnFile(path: string, uid: number | undefined): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found !== undefined && found.isFile() && found.uid === uid
}
