/** The memory of a process by itself, from its source: no entry of the package has it. */
export { createL1 } from '../../../packages/cache/src/l1/l1.ts'
