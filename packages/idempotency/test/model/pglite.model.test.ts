import { test } from 'vitest'
import { behavesAsModel } from './play-store.ts'
import { storeSteps } from './store-steps.ts'

// Its server is this process: the wall clock of this process is its own, and it is slow.
const steps = storeSteps.map((all) => all.filter(({ kind }) => kind !== 'jump').slice(0, 16))

test('PGlite does what the model says, whatever happens to its callers', () => behavesAsModel('PGlite', steps))
