import { outageSuite } from './outage.ts'

outageSuite('Postgres')
