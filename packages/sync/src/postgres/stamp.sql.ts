const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

export const base36Sql: string = `create function {schema}.sync_base36(p_n bigint, p_digits integer) returns text
language plpgsql immutable strict parallel safe as $$
declare
  text text := '';
begin
  for i in 1 .. p_digits loop
    text := substr('${DIGITS}', (p_n % 36)::integer + 1, 1) || text;
    p_n := p_n / 36;
  end loop;
  return text;
end $$`

export const fromBase36Sql: string = `create function {schema}.sync_from_base36(p_text text) returns bigint
language plpgsql immutable strict parallel safe as $$
declare
  n bigint := 0;
begin
  for i in 1 .. length(p_text) loop
    n := n * 36 + strpos('${DIGITS}', substr(p_text, i, 1)) - 1;
  end loop;
  return n;
end $$`

/** As nextStamp of stamp.ts: the first stamp of a node that is not before p_ms, as 9 digits, and comes after p_last. */
export const nextStampSql: string = `create function {schema}.sync_next_stamp(p_last text, p_ms text, p_node text) returns text
language plpgsql immutable parallel safe as $$
declare
  first text := p_ms || '-0000-' || p_node;
  counter bigint;
begin
  if p_last is null or first > p_last collate "C" then
    return first;
  end if;
  counter := {schema}.sync_from_base36(substr(p_last, 11, 4)) + 1;
  if counter < 36 * 36 * 36 * 36 then
    return left(p_last, 10) || {schema}.sync_base36(counter, 4) || '-' || p_node;
  end if;
  return {schema}.sync_base36({schema}.sync_from_base36(left(p_last, 9)) + 1, 9) || '-0000-' || p_node;
end $$`
