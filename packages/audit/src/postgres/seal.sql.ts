import { STORE_CORRUPT } from './errors.ts'
import { PLANNED } from './planned.ts'
import { listOf } from './text.ts'

/** Leaves whose extremes are kept together, in audit_span. */
export const SPAN = 1_024

/** Writes what sealing adds: leaves from index p_from on, tiles and the head, which must end where these begin. Columns
 *  of leaves are lists; p_tiles have level, n, offset, and begin and bytes in p_hashes; p_spans the extremes of leaves. */
export const sealSql: string = `create function {schema}.audit_seal(p_log text, p_from bigint, p_size bigint,
  p_frontier bytea, p_done pg_snapshot, p_xid xid8, p_seq bigint,
  p_ids text, p_ats text, p_scopes text, p_actor_types text, p_actor_ids text, p_actions text, p_target_types text,
  p_target_ids text, p_outcomes text, p_correlations text, p_refs text, p_terms text,
  p_tiles json, p_hashes bytea, p_spans json) returns void ${PLANNED} as $$
declare
  t record;
begin
  update {schema}.audit_head h set size = p_size, frontier = p_frontier, done = p_done, at_xid = p_xid, at_seq = p_seq
  where h.log = p_log and h.size = p_from;
  if not found then
    insert into {schema}.audit_head (log, size, frontier, done, at_xid, at_seq)
    select p_log, p_size, p_frontier, p_done, p_xid, p_seq where p_from = 0 on conflict do nothing;
    if not found then
      raise exception 'log %: the head is not at %', p_log, p_from using errcode = '${STORE_CORRUPT}';
    end if;
  end if;
  insert into {schema}.audit_leaf (log, idx, id, at_ms, scope, actor_type, actor_id, action, target_type, target_id,
    outcome, correlation, refs, terms)
  select p_log, p_from + g.n - 1, g.id, g.at_ms, g.scope, g.actor_type, g.actor_id, g.action, g.target_type,
    g.target_id, g.outcome, g.correlation, string_to_array(g.refs, E'\\t'), g.terms::integer[]
  from unnest(string_to_array(p_ids, ',')::uuid[], string_to_array(p_ats, ',')::bigint[],
    ${[
      'scopes',
      'actor_types',
      'actor_ids',
      'actions',
      'target_types',
      'target_ids',
      'outcomes',
      'correlations',
      'refs',
    ]
      .map((column) => listOf(`p_${column}`))
      .join(', ')},
    string_to_array(p_terms, ' ')
  ) with ordinality as g(id, at_ms, scope, actor_type, actor_id, action, target_type, target_id, outcome, correlation,
    refs, terms, n);
  for t in select * from json_to_recordset(p_tiles) as r(level integer, n bigint, at integer, start integer, bytes integer)
  loop
    if t.at = 0 then
      insert into {schema}.audit_tile (log, level, n, hashes)
      values (p_log, t.level, t.n, substring(p_hashes from t.start for t.bytes)) on conflict do nothing;
    else
      update {schema}.audit_tile x set hashes = x.hashes || substring(p_hashes from t.start for t.bytes)
      where x.log = p_log and x.level = t.level and x.n = t.n and octet_length(x.hashes) = t.at * 32;
    end if;
    if not found then
      raise exception 'log %: tile % of level % does not end at %', p_log, t.n, t.level, t.at
        using errcode = '${STORE_CORRUPT}';
    end if;
  end loop;
  insert into {schema}.audit_span as s (log, n, min_at_ms, max_at_ms, min_id, max_id)
  select p_log, r.n, r.min_at_ms, r.max_at_ms, r.min_id, r.max_id from json_to_recordset(p_spans)
    as r(n bigint, min_at_ms bigint, max_at_ms bigint, min_id uuid, max_id uuid)
  on conflict (log, n) do update set min_at_ms = least(s.min_at_ms, excluded.min_at_ms),
    max_at_ms = greatest(s.max_at_ms, excluded.max_at_ms), min_id = least(s.min_id, excluded.min_id),
    max_id = greatest(s.max_id, excluded.max_id);
end $$`
