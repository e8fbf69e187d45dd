/** What an application may have told pg of types: see https://node-postgres.com/features/types. */
import pg from 'pg'

const { INT8, NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ, JSON, JSONB } = pg.types.builtins
const AS_THEY_CAME = [NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ, JSON, JSONB]

/** `types` of a pool: big integers exact; times, decimals and JSON as the server wrote them. */
export const ownParsers: pg.CustomTypesConfig = {
  getTypeParser: (type, format) => {
    if (type === INT8) return BigInt
    if (AS_THEY_CAME.includes(type)) return (text: string) => text
    return pg.types.getTypeParser(type, format)
  },
}
