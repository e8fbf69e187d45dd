/**
 * What is used of ioredis 5 and 6: a Redis or a Cluster. With `replyMapping: 'resp3'` its decoder makes text of a map's
 * keys and a number of a double, which cannot be undone; what a script answers in RESP2 is as everywhere.
 */
export interface IoredisLike {
  readonly status: string
  readonly isCluster: boolean
  readonly options: any
  callBuffer(...args: any): any
  pipeline(commands?: any): any
  duplicate(...overrides: any): any
}
