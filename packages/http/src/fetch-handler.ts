/**
 * A management API without a framework: adapters mount it, `Request` in, `Response` out. It sees the path behind its
 * mount point. `remoteAddress` is that of the socket.
 */
export type FetchHandler = (request: Request, info?: { readonly remoteAddress?: string }) => Promise<Response>
