export { createChaos, type Chaos, type ChaosEvent, type ChaosOptions, type ChaosRule } from './chaos.ts'
