/** For adapters of frameworks on node:http. */
export { nodeExchanges, type NodeExchanges, type NodeFrame } from './exchange.ts'
