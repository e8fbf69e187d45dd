/** What is used of ioredis 5 and 6: a Redis or a Cluster. */
export interface IoredisLike {
  readonly status: string
  readonly isCluster: boolean
  readonly options: any
  call(...args: any): any
  pipeline(commands?: any): any
  duplicate(...overrides: any): any
}
