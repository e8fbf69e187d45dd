/** What a scenario is, and the rule by which its writes are judged when it has none of its own. */

/** How often each thing that a write makes is there: business rows, effect rows, stored answers. */
export type Counts = Readonly<Record<string, number>>

/** One write as its client and the store tell of it after the process has died, and again after a retry. */
export interface JudgedWrite {
  readonly key: string
  readonly kind: string
  /** What the client was told last; undefined: nothing, and it does not know. */
  readonly told: string | undefined
  readonly counts: Counts
}

/** Where a process works. */
export interface CrashPlace {
  /** postgres://…; the URL names its connections, by which the tool sees that the server has let go of the dead. */
  readonly databaseUrl: string
  /** redis://…; ioredis takes `name` from the URL, other clients have to be given it. */
  readonly redisUrl: string
  /** The name of this process's connections. */
  readonly name: string
  /** A schema or key prefix of this report only: [a-z0-9_], at most 63. */
  readonly space: string
  /** A folder that the processes of this report share; removed at its end. */
  readonly folder: string
}

/** A process's own connections to what it writes. */
export interface CrashWrites {
  /** What a request does; answers what its client is told. A retry is the same call. A rejection is a finding. */
  write(key: string, kind: string): Promise<string>
  /** By key; a key that is missing was left without a trace. */
  read(keys: readonly string[]): Promise<ReadonlyMap<string, Counts>>
  /** What is wrong with the store as a whole when all is over, or undefined. */
  check?(): Promise<string | undefined>
}

/** The default export of a scenario file. Every process of a report, worker or witness, loads it and opens its own. */
export interface CrashScenario {
  /** What is wrong with this write, or undefined; default `wholeOnce`. */
  readonly judge?: (write: JudgedWrite) => string | undefined
  /** Kinds of writes and how often each comes; default `{ write: 1 }`. */
  readonly kinds?: Readonly<Record<string, number>>
  /** Writes in flight in each process; default 8, which is the least. */
  readonly inFlight?: number
  /** The store has room for one process at a time: a folder. */
  readonly exclusive?: boolean
  /** The first process to open is alone, later ones are not. */
  open(place: CrashPlace): Promise<CrashWrites>
}

/** All that a write makes is there once or not at all, and there if its client was told. */
export function wholeOnce({ counts, told }: JudgedWrite): string | undefined {
  const numbers = Object.values(counts)
  const times = numbers[0] ?? 0
  if (numbers.some((each) => each !== times)) return 'a part is missing'
  if (times > 1) return 'there more than once'
  if (times === 0 && told !== undefined) return 'its client was told, but it is not there'
  return undefined
}
