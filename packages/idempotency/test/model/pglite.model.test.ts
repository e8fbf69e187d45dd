import { test } from 'vitest'
import { behavesAsModel } from './play-store.ts'
import { storeSteps } from './store-steps.ts'

// Its server is this process, so the wall clock of this process is its own.
const steps = storeSteps.map((all) => all.filter(({ kind }) => kind !== 'jump'))

test('PGlite does what the model says, whatever happens to its callers', () => behavesAsModel('PGlite', steps))
