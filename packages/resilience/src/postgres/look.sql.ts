/*
 * What is counted of a subject in a quota is the list of integers that limiter/algorithms describe, and these functions
 * repeat theirs. A quota is json: key, algorithm, limit, and window (us) or the four bounds (us) of a calendar; burst.
 */

/** The server's time in us since 1970. A function of its own, so that a test can have another. */
export const nowSql = `create function {schema}.rate_now() returns bigint language sql volatile
as $$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint $$`

/** What has not left the window: instants of a log, pairs of buckets. */
export const livingSql = `create function {schema}.rate_living(q jsonb, counted bigint[], now_us bigint) returns bigint[]
language plpgsql immutable as $$
declare
  window_us bigint := (q->>'window')::bigint;
  newest bigint := coalesce(counted[cardinality(counted) - 1], 0);
  length_us bigint := (window_us + 59) / 60;
begin
  if q->>'algorithm' = 'log' then
    return array(select at from unnest(counted) as at where at > now_us - window_us order by at);
  end if;
  return array(
    select number from unnest(counted) with ordinality as pairs (number, i)
    where counted[i - 1 + i % 2] >= greatest(now_us / length_us, newest) - 60 order by i);
end $$`

/** Units that fit, us until so many units do (-1: never), us until nothing is counted. */
export const lookSql = `create function {schema}.rate_look(q jsonb, counted bigint[], now_us bigint, units bigint,
  out free bigint, out wait_us bigint, out full_us bigint)
language plpgsql immutable as $$
declare
  algorithm text := q->>'algorithm';
  lim bigint := (q->>'limit')::bigint;
  most bigint := lim;
  window_us bigint := (q->>'window')::bigint;
  living bigint[];
  held bigint := 0;
  leaving bigint;
  at integer;
  one_us bigint;
  period bigint[];
begin
  if algorithm = 'log' then
    living := {schema}.rate_living(q, counted, now_us);
    held := cardinality(living);
    free := greatest(0, lim - held);
    leaving := held + units - lim;
    wait_us := case when leaving <= 0 then 0 else living[leaving] + window_us - now_us end;
    full_us := case when held = 0 then 0 else living[held] + window_us - now_us end;
  elsif algorithm = 'buckets' then
    one_us := (window_us + 59) / 60;
    living := {schema}.rate_living(q, counted, now_us);
    for i in 1 .. cardinality(living) / 2 loop held := held + living[2 * i]; end loop;
    free := greatest(0, lim - held);
    leaving := held + units - lim;
    wait_us := 0;
    if leaving > 0 and units <= lim then
      at := 0;
      while leaving > 0 loop
        at := at + 2;
        leaving := leaving - living[at];
      end loop;
      wait_us := (living[at - 1] + 61) * one_us - now_us;
    end if;
    full_us := case when held = 0 then 0 else (living[cardinality(living) - 1] + 61) * one_us - now_us end;
  elsif algorithm = 'gcra' then
    most := (q->>'burst')::bigint;
    one_us := (window_us + lim - 1) / lim;
    full_us := least(most * one_us, greatest(0, coalesce(counted[1], 0) - now_us));
    free := (most * one_us - full_us) / one_us;
    wait_us := greatest(0, full_us + (units - most) * one_us);
  else
    period := {schema}.rate_period(q, now_us);
    if counted[1] >= period[1] then held := counted[2]; end if;
    free := greatest(0, lim - held);
    wait_us := case when units <= free then 0 else period[2] - now_us end;
    full_us := case when held = 0 then 0 else period[2] - now_us end;
  end if;
  if units > most then wait_us := -1; end if;
end $$`

/** Begin and end of the window or period that the time is in; null where it is in none of a calendar's. */
export const periodSql = `create function {schema}.rate_period(q jsonb, now_us bigint) returns bigint[]
language plpgsql immutable as $$
declare
  window_us bigint := (q->>'window')::bigint;
begin
  if q->>'algorithm' = 'fixed' then
    return array[now_us / window_us * window_us, (now_us / window_us + 1) * window_us];
  end if;
  for i in 0 .. 2 loop
    if now_us >= (q->'bounds'->>i)::bigint and now_us < (q->'bounds'->>(i + 1))::bigint then
      return array[(q->'bounds'->>i)::bigint, (q->'bounds'->>(i + 1))::bigint];
    end if;
  end loop;
  return null;
end $$`
