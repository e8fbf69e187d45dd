/** Fields of a document that another one has not, or not so. */
export const differingSql: string = `create function {schema}.sync_differing(p_doc jsonb, p_other jsonb) returns jsonb
language sql immutable parallel safe
as $$ select coalesce(jsonb_object_agg(f.key, f.value), '{}') from jsonb_each(p_doc) as f
  where f.value is distinct from p_other->f.key $$`

/** The document of registers. */
export const documentSql: string = `create function {schema}.sync_document(p_reg jsonb) returns jsonb
language sql immutable strict parallel safe
as $$ select coalesce(jsonb_object_agg(f.key, f.value->0), '{}') from jsonb_each(p_reg) as f
  where jsonb_array_length(f.value) = 2 $$`

/**
 * What one statement did to rows, as writes of the server's own (change.sql.ts), a thousand in one call and in the order of
 * their keys. Arguments: the collection; id, scope, subject and doc of a row r as SQL (trigger-sql.ts).
 *
 * Only what the statement changed is written, and only where the record has not got it already: what was written by
 * \`change\` in the same transaction is no change. Records of a push that is under way (open.sql.ts) are left to it: they
 * are written when the application has taken them.
 *
 * An update brings nothing back, and makes nothing: it may be of rows that the application keeps of what is deleted.
 */
export const rowsSql: string = `create function {schema}.sync_rows() returns trigger language plpgsql
set timezone = 'UTC' set jit = off as $$
declare
  collection text := tg_argv[0];
  pushed text[] := array(select k.i from json_to_recordset(coalesce(nullif(
    current_setting('{schema}.sync_push', true), ''), '[]')::json) as k(c text, i text) where k.c = collection);
  -- Rows of no scope are nobody's.
  read text := '(select x.* from (select ' || tg_argv[1] || ' from %I as r) as x
    where x.scope is not null and not coalesce(x.id = any($2), false))';
  held text := '(select {schema}.sync_document(o.reg) as doc from {schema}.sync_record as o
    where o.scope = n.scope and o.c = $1 and o.id = n.id and o.gone is null offset 0) as h';
  changes text;
  batch jsonb;
  bad record;
begin
  if tg_op <> 'DELETE' then
    for bad in execute 'select x.id, x.scope from ' || format(read, 'keelson_new') || ' as x
      where x.id is null or x.id !~ ''^[A-Za-z0-9_.:~-]{1,128}$''
        or octet_length(x.scope) not between 1 and 128 or x.scope ~ ''[\\u0001-\\u001f\\u007f-\\u009f]'' limit 1'
      using collection, pushed
    loop
      raise exception 'sync: a row of "%" has no id or scope of a record: id %, scope %', tg_table_name,
        coalesce(quote_literal(bad.id), 'null'), quote_literal(bad.scope) using errcode = 'check_violation';
    end loop;
  end if;
  changes := case tg_op
    when 'INSERT' then 'select n.scope, n.id, ''put'' as t, null as "to", n.subject,
        {schema}.sync_differing(n.doc, h.doc) as "set"
      from ' || format(read, 'keelson_new') || ' as n left join lateral ' || held || ' on true
      where h.doc is null or {schema}.sync_differing(n.doc, h.doc) <> ''{}'''
    when 'DELETE' then 'select o.scope, o.id, ''delete'' as t, null as "to", null as subject, null::jsonb as "set"
      from ' || format(read, 'keelson_old') || ' as o'
    else 'with o as materialized ' || format(read, 'keelson_old') || ', n as materialized ' || format(read, 'keelson_new') || ',
      gone as (select o.*, count(*) over (partition by o.id) as alike from o
        where not exists (select from n where n.scope = o.scope and n.id = o.id)),
      come as (select n.*, count(*) over (partition by n.id) as alike from n
        where not exists (select from o where o.scope = n.scope and o.id = n.id)),
      moved as (select g.scope, g.id, c.scope as "to", c.subject, {schema}.sync_differing(c.doc, g.doc) as "set"
        from gone as g join come as c on c.id = g.id and c.alike = 1 and g.alike = 1)
      select n.scope, n.id, ''patch'' as t, null as "to", n.subject,
        {schema}.sync_differing({schema}.sync_differing(n.doc, o.doc), h.doc) as "set"
      from n join o on o.scope = n.scope and o.id = n.id cross join lateral ' || held || '
      where {schema}.sync_differing({schema}.sync_differing(n.doc, o.doc), h.doc) <> ''{}''
      union all select m.scope, m.id, ''move'', m."to", m.subject, m."set" from moved as m
      union all select c.scope, c.id, ''put'', null, c.subject, c.doc from come as c
        where not exists (select from moved as m where m.id = c.id)
      union all select g.scope, g.id, ''delete'', null, null, null from gone as g
        where not exists (select from moved as m where m.id = g.id)'
  end;
  for batch in execute 'select jsonb_agg(g.change order by g.n) from (
      select row_number() over (order by c.scope collate "C", c.id collate "C") as n,
        jsonb_build_object(''scope'', c.scope, ''c'', $1, ''id'', c.id, ''t'', c.t, ''set'', c."set", ''to'', c."to",
          ''subject'', rtrim(translate(encode(sha256(convert_to(c.subject, ''UTF8'')), ''base64''), ''+/'', ''-_''), ''='')) as change
      from (' || changes || ') as c) as g group by (g.n - 1) / 1000 order by (g.n - 1) / 1000'
    using collection, pushed
  loop
    perform {schema}.sync_change(jsonb_build_object('node', 'sql', 'changes', batch));
  end loop;
  return null;
end $$`
