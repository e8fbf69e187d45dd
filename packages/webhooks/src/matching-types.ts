/** Those of `T` that a pattern of event types matches, where the compiler knows both: `*` is one segment, a `**` at the end the rest. */
export type MatchingTypes<Pattern extends string, T extends string> = T extends string
  ? string extends T
    ? T
    : Pattern extends string
      ? string extends Pattern
        ? T
        : Matches<Pattern, T> extends true
          ? T
          : never
      : never
  : never

type Matches<Pattern extends string, T extends string> = Pattern extends '**' | T
  ? true
  : Pattern extends `${infer First}.${infer Rest}`
    ? T extends `${infer Segment}.${infer Others}`
      ? First extends '*' | Segment
        ? Matches<Rest, Others>
        : false
      : false
    : Pattern extends '*'
      ? T extends `${string}.${string}`
        ? false
        : true
      : false
