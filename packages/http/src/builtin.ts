/**
 * Modules of Node that are loaded when they are first asked for: to import node:http and node:crypto here would take
 * longer than the rest of this package and the kernel together.
 */
export const builtin: {
  readonly crypto: typeof import('node:crypto')
  readonly http: typeof import('node:http')
  readonly net: typeof import('node:net')
} = {
  get crypto() {
    return process.getBuiltinModule('node:crypto')
  },
  get http() {
    return process.getBuiltinModule('node:http')
  },
  get net() {
    return process.getBuiltinModule('node:net')
  },
}
