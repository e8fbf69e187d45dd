import { outageSuite } from './outage.ts'

outageSuite('ioredis 6')
