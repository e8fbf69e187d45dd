import { createHash } from 'node:crypto'

/** A Lua script and the name under which a server keeps it. */
export interface Script {
  readonly lua: string
  /** SHA-1 of `lua`, 40 hex digits. */
  readonly sha: string
}

/** Names a Lua script, once, when its module is loaded. Nothing is sent. */
export function defineScript(lua: string): Script {
  return Object.freeze({ lua, sha: createHash('sha1').update(lua).digest('hex') })
}
