import { STORE_CORRUPT } from './errors.ts'
import { PLANNED } from './planned.ts'

/** As SQL: entries of p_log that p_now sees and p_done does not: the rest of transaction p_part_of, behind its place
 *  p_part, unless that is done with; then others by transaction and place, behind p_at of p_of. Needs low_of and low_at,
 *  where those begin that p_done could not know of. Below p_known entries were pruned: what comes again was sealed. */
const unsealedRows = (columns: string): string => {
  const entry = (turn: number): string =>
    `select ${turn} as turn, ${columns} from {schema}.audit_entry e where e.log = p_log`
  const isNew = `(e.id >= p_known or not exists (select from {schema}.audit_leaf l where l.id = e.id and l.log = e.log))`
  return `(
    ${entry(0)} and e.xid = p_part_of and e.seq > p_part and p_of = '0' and pg_visible_in_snapshot(e.xid, p_now) and ${isNew}
    order by e.seq limit p_rows
  ) union all (
    select w.* from (
      select x from pg_snapshot_xip(p_done) as x
      where x >= p_of and x <> p_part_of and pg_visible_in_snapshot(x, p_now)
    ) as waited cross join lateral (
      ${entry(1)} and e.xid = waited.x and (e.xid, e.seq) > (p_of, p_at) and ${isNew}
      order by e.seq limit p_rows
    ) as w
  ) union all (
    ${entry(1)} and (e.xid, e.seq) > (low_of, low_at) and e.xid < pg_snapshot_xmax(p_now)
      and pg_visible_in_snapshot(e.xid, p_now) and ${isNew}
    order by e.xid, e.seq limit p_rows
  ) order by turn, xid, seq limit p_rows`
}

const PARAMETERS = `p_log text, p_done pg_snapshot, p_part_of xid8, p_part bigint, p_now pg_snapshot, p_of xid8,
  p_at bigint, p_known uuid, p_rows integer`

const LOW = `  low_of xid8 := pg_snapshot_xmax(p_done);
  low_at bigint := 0;
begin
  if p_of >= low_of then low_of := p_of; low_at := p_at; end if;`

/** The next entries to seal, at most p_rows and, but for the first, p_bytes. Bodies as base64, which drivers read faster
 *  than hex. */
export const unsealedSql: string = `create function {schema}.audit_unsealed(${PARAMETERS}, p_bytes bigint)
returns table (id uuid, body text, xid text, seq text) ${PLANNED} as $$
#variable_conflict use_column
declare
${LOW}
  return query select c.id, encode(c.body, 'base64'), c.xid::text, c.seq::text from (
    select u.*, sum(octet_length(u.body)) over (order by u.turn, u.xid, u.seq rows unbounded preceding)
      - octet_length(u.body) as before
    from (${unsealedRows('e.id, e.body, e.xid, e.seq')}) as u
  ) as c where c.before < p_bytes order by c.turn, c.xid, c.seq;
end $$`

/** How many there are, at most p_rows, and the least id of these. */
export const backlogSql: string = `create function {schema}.audit_backlog(${PARAMETERS}) returns table (n float8, oldest text)
${PLANNED} as $$
#variable_conflict use_column
declare
${LOW}
  return query select count(*)::float8, min(u.id::text)
    from (${unsealedRows('e.id, e.xid, e.seq')}) as u;
end $$`

/** Takes the right to seal a log until the transaction ends: its head, or no row while somebody else has it. `now` is
 *  taken behind the lock, and before this transaction has a number: those that a crash forgets are given again. */
export const beginSealSql: string = `create function {schema}.audit_begin_seal(p_log text)
returns table (size float8, frontier text, done text, xid text, seq text, known text, now text) ${PLANNED} as $$
#variable_conflict use_column
declare
  h record;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('{schema}.audit_head ' || p_log, 0)) then return; end if;
  select coalesce(x.size, 0) as size, coalesce(x.frontier, '') as frontier, coalesce(x.done, '1:1:') as done,
    coalesce(x.at_xid, '0') as at_xid, coalesce(x.at_seq, 0) as at_seq,
    coalesce(x.known, {schema}.audit_first_id(0)) as known, pg_current_snapshot() as now
  into h from (select 1) as one left join {schema}.audit_head x on x.log = p_log;
  if pg_snapshot_xmax(h.done) > pg_snapshot_xmax(h.now) then
    raise exception 'log %: its transactions are those of another server, which is ahead of this one (adopt() takes it over)', p_log
      using errcode = '${STORE_CORRUPT}';
  end if;
  return query select h.size::float8, encode(h.frontier, 'base64'), h.done::text, h.at_xid::text, h.at_seq::text,
    h.known::text, h.now::text;
end $$`
