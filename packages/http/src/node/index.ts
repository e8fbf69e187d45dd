export { nodeExchanges, type NodeExchange, type NodeExchanges, type NodeFrame } from './exchange.ts'
export { toRequest } from './to-request.ts'
export { sendWeb } from './send-web.ts'
export { drainServer, type DrainableServer, type ServerDrain } from './drain-server.ts'
