import { deliveryOn } from './delivery-scenario.ts'

export default deliveryOn('postgres')
