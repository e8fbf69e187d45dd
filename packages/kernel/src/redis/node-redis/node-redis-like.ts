/** What is used of node-redis 5 and 6: a client, a cluster, a pool or a Sentinel client. */
export interface NodeRedisLike {
  readonly isOpen: boolean
  sendCommand(...args: any): Promise<any>
  connect(): Promise<any>
}

/** A client for one server. */
export interface NodeRedisClient extends NodeRedisLike {
  readonly options?: any
  duplicate(overrides?: any): any
}
