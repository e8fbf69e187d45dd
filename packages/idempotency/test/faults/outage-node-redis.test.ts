import { outageSuite } from './outage.ts'

outageSuite('node-redis 6')
