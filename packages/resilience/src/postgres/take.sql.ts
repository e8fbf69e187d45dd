/** Windows can be counted anew, so a crash of the server may lose them; a month must not. */
export const TABLES = ['rate_window', 'rate_calendar'] as const

/** Of a list of quotas, those that are counted there. */
const of = (table: (typeof TABLES)[number]): string =>
  `value->>'algorithm' ${table === 'rate_calendar' ? '=' : '<>'} 'calendar'`

/** Locks the rows of a subject in the order of their quotas, so that no two takes wait for each other; makes missing ones. */
const lock = (table: (typeof TABLES)[number]): string => `
    keys := array(select value->>'key' collate "C" from jsonb_array_elements(p_quotas) where ${of(table)} order by 1);
    while cardinality(keys) > 0 loop
      if (select count(*) from {schema}.${table} where subject = p_subject and quota = any(keys)) < cardinality(keys) then
        insert into {schema}.${table} (subject, quota, counted, expires_at)
          select p_subject, key, '{}', clock_timestamp() + interval '1 minute' from unnest(keys) as key
          on conflict do nothing;
      end if;
      perform 1 from {schema}.${table} where subject = p_subject and quota = any(keys) order by quota for update;
      get diagnostics found_rows = row_count;
      exit when found_rows = cardinality(keys);
    end loop;`

/** Writes what is counted; `expires_at` is set ahead, so that most takes change no indexed column. */
const write = (table: (typeof TABLES)[number]): string => `
      update {schema}.${table} set counted = now_counted, expires_at = greatest(expires_at, case
          when expires_at < to_timestamp((now_us + full_us) / 1e6)
          then to_timestamp((now_us + full_us + greatest(full_us, 60000000)) / 1e6) end)
        where subject = p_subject and quota = q->>'key';`

const read = `
    select counted into held from {schema}.rate_window where subject = p_subject and quota = q->>'key'
      and q->>'algorithm' <> 'calendar'
    union all select counted from {schema}.rate_calendar where subject = p_subject and quota = q->>'key'
      and q->>'algorithm' = 'calendar';
    held := coalesce(held, '{}');`

/** Counts units in all quotas or in none; the order is that of decideTake. A take of 0 only asks, and locks nothing.
 *  The time is read when the rows are locked: who waited is later. Answers [granted, now us, then of each quota
 *  [remaining, wait us (-1: never), us until full, token]]; granted -1: now is in none of a calendar's periods. */
export const takeSql: string = `create function {schema}.rate_take(p_subject text, p_quotas jsonb, p_cost bigint, p_least bigint)
returns jsonb language plpgsql as $$
declare
  q jsonb;
  keys text[];
  found_rows bigint;
  now_us bigint;
  held bigint[];
  now_counted bigint[];
  fits bigint := p_cost;
  free bigint;
  wait_us bigint;
  full_us bigint;
  token bigint;
  answer jsonb;
begin
  if p_cost > 0 then${TABLES.map(lock).join('')}
  end if;
  now_us := {schema}.rate_now();
  for q in select value from jsonb_array_elements(p_quotas) loop
    if q->>'algorithm' = 'calendar' and {schema}.rate_period(q, now_us) is null then
      return jsonb_build_array(-1, now_us);
    end if;${read}
    fits := least(fits, (select look.free from {schema}.rate_look(q, held, now_us, 0) as look));
  end loop;
  if fits < p_least then fits := 0; end if;
  answer := jsonb_build_array(fits, now_us);
  for q in select value from jsonb_array_elements(p_quotas) loop${read}
    token := null;
    if fits > 0 then
      select added.counted, added.token into now_counted, token from {schema}.rate_add(q, held, now_us, fits) as added;
      select look.free, look.full_us into free, full_us from {schema}.rate_look(q, now_counted, now_us, 0) as look;
      wait_us := 0;
      if q->>'algorithm' = 'calendar' then${write('rate_calendar')}
      else${write('rate_window')}
      end if;
    else
      select look.free, look.wait_us, look.full_us into free, wait_us, full_us
        from {schema}.rate_look(q, held, now_us, p_least) as look;
    end if;
    answer := answer || jsonb_build_array(jsonb_build_array(free, wait_us, full_us, coalesce(token::text, '')));
  end loop;
  return answer;
end $$`

/** Takes units of one take back, where they still count; each quota with its \`token\`. Rows are locked in order. */
export const refundSql: string = `create function {schema}.rate_refund(p_subject text, p_quotas jsonb, p_units bigint)
returns void language plpgsql as $$
declare
  q jsonb;
  now_us bigint := {schema}.rate_now();
begin${TABLES.map(
  (table) => `
  for q in select value from jsonb_array_elements(p_quotas) where ${of(table)}
      order by value->>'key' collate "C" loop
    update {schema}.${table}
      set counted = {schema}.rate_subtract(q, counted, now_us, (q->>'token')::bigint, p_units)
      where subject = p_subject and quota = q->>'key';
  end loop;`,
).join('')}
end $$`
