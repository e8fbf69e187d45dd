// What routes with the rule `idempotent` need: loaded by the first of them.
export { capturedWrite } from './captured-write.ts'
export { guardedWrite } from './guarded-write.ts'
export { readCall } from './read-call.ts'
