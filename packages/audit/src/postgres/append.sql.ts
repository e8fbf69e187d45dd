import { ENTRY_INVALID } from './errors.ts'
import { listOf } from './text.ts'

/**
 * All that happens in a business transaction: one INSERT, no lock that others wait for, no head. Whatever was there
 * already is compared behind it, when its writer has finished.
 *
 * `one` $1 id, $2 log, $3 body, $4 true to fail at other bytes, else it answers false. `many` $1 ids, $2 log, $3 all
 * bodies behind each other, $4 where each begins, $5 its bytes. Behind these, with keys: entries, scopes, refs, begins
 * and bytes of the wrapped keys, and these behind each other.
 */
export const appendSql = (
  schema: string,
): { readonly one: string; readonly many: string; readonly oneKeyed: string; readonly manyKeyed: string } => {
  const numbers = (parameter: string): string => `string_to_array(${parameter}::text, ',')::integer[]`
  const keyed = (first: number): string => {
    const [entry, scope, ref, at, bytes, wrapped] = Array.from({ length: 6 }, (_, i) => `$${first + i}`)
    return `, keyed as (
  insert into ${schema}.audit_key (log, scope, ref, entry, wrapped)
  select $2::text, k.scope, k.ref, put.id, substring(${wrapped}::bytea from k.at for k.bytes)
  from put join unnest(string_to_array(${entry}::text, ',')::uuid[], ${listOf(`${scope}::text`)},
    ${listOf(`${ref}::text`)}, ${numbers(at!)}, ${numbers(bytes!)}) as k(entry, scope, ref, at, bytes) on k.entry = put.id
  on conflict do nothing
)`
  }
  const one = (keys: string): string => `with put as (
  insert into ${schema}.audit_entry (id, log, body) values ($1::uuid, $2::text, $3::bytea)
  on conflict (id) do nothing returning id
)${keys}
select ${schema}.audit_known($1::uuid, $2::text, $3::bytea, $4::boolean) as same where not exists (select from put)`
  const many = (keys: string): string => `with given as (
  select * from unnest(string_to_array($1::text, ',')::uuid[], ${numbers('$4')}, ${numbers('$5')})
    with ordinality as g(id, at, bytes, n)
), put as (
  insert into ${schema}.audit_entry (id, log, body)
  select g.id, $2::text, substring($3::bytea from g.at for g.bytes) from given g order by g.n
  on conflict (id) do nothing returning id
)${keys}
select ${schema}.audit_known(g.id, $2::text, substring($3::bytea from g.at for g.bytes), true) as same
from given g where not exists (select from put where put.id = g.id)`
  return { one: one(''), many: many(''), oneKeyed: one(keyed(5)), manyKeyed: many(keyed(6)) }
}

/** True: the log has these bytes under this id. It is asked behind the INSERT, with a snapshot of its own, so it sees
 *  what that has waited for. */
export const knownSql: string = `create function {schema}.audit_known(p_id uuid, p_log text, p_body bytea, p_fail boolean)
returns boolean language plpgsql as $$
begin
  perform from {schema}.audit_entry e where e.id = p_id and e.log = p_log and e.body = p_body;
  if not found and p_fail then
    raise exception 'another entry has the id %', p_id using errcode = '${ENTRY_INVALID}';
  end if;
  return found;
end $$`
