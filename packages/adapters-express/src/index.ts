export { createExpress, type KeelsonExpress } from './express.ts'
