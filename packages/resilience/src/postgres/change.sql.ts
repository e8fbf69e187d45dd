/** What is counted once so many units that fit were taken, and their token. */
export const addSql = `create function {schema}.rate_add(q jsonb, held bigint[], now_us bigint, units bigint,
  out counted bigint[], out token bigint)
language plpgsql immutable as $$
declare
  algorithm text := q->>'algorithm';
  window_us bigint := (q->>'window')::bigint;
  size integer := cardinality(held);
  queued_us bigint;
  begins bigint;
begin
  if algorithm = 'log' then
    token := greatest(now_us, coalesce(held[size], -1) + 1);
    counted := {schema}.rate_living(q, held, now_us) || array_fill(token, array[units::integer]);
  elsif algorithm = 'buckets' then
    token := greatest(now_us / ((window_us + 59) / 60), coalesce(held[size - 1], 0));
    counted := {schema}.rate_living(q, held, now_us);
    size := cardinality(counted);
    if size > 0 and counted[size - 1] = token then counted[size] := counted[size] + units;
    else counted := counted || array[token, units]; end if;
  elsif algorithm = 'gcra' then
    select full_us into queued_us from {schema}.rate_look(q, held, now_us, 0);
    token := case when queued_us > 0 then held[2] else now_us end + units;
    counted := array[now_us + queued_us + units * ((window_us + (q->>'limit')::bigint - 1) / (q->>'limit')::bigint), token];
  else
    begins := ({schema}.rate_period(q, now_us))[1];
    token := greatest(begins, coalesce(held[1], 0));
    counted := array[token, case when held[1] >= begins then held[2] else 0 end + units];
  end if;
end $$`

/** What is counted once units of one take were taken back. */
export const subtractSql = `create function {schema}.rate_subtract(q jsonb, counted bigint[], now_us bigint, token bigint,
  units bigint) returns bigint[]
language plpgsql immutable as $$
declare
  algorithm text := q->>'algorithm';
  one_us bigint;
begin
  if algorithm = 'log' then
    return array(
      select at from (select at, row_number() over (partition by at) as nth from unnest(counted) as at) as units_
      where at <> token or nth > units order by at);
  elsif algorithm = 'buckets' then
    for i in 1 .. cardinality(counted) / 2 loop
      if counted[2 * i - 1] = token then
        counted[2 * i] := counted[2 * i] - units;
        if counted[2 * i] > 0 then return counted; end if;
        return counted[: 2 * i - 2] || counted[2 * i + 1 :];
      end if;
    end loop;
    return counted;
  elsif algorithm = 'gcra' then
    one_us := ((q->>'window')::bigint + (q->>'limit')::bigint - 1) / (q->>'limit')::bigint;
    return array[
      counted[1] - greatest(0, least(units * one_us, counted[1] - (counted[2] - token) * one_us - now_us)), counted[2]];
  elsif counted[1] = token then
    return array[token, greatest(0, counted[2] - units)];
  end if;
  return counted;
end $$`
