/** Values above this size are not stored; a mapper that reads one gets none. */
const MAX_VALUE_BYTES = 4_096;
/** Rows of one statement that take more than this are stored as their types. */
const MAX_CONTENT_BYTES = 1_000_000;

/** Names of the rows of a statement in its trigger. @internal */
export const TRANSITION_TABLES = { old: 'old_rows', new: 'new_rows' } as const;

/**
 * The body of the trigger function, in PL/pgSQL. It names no column: columns and primary
 * key are read from the catalogs when a statement ends, so that ALTER TABLE cannot make it
 * fail. A failing trigger would make the application's own statement fail.
 *
 * Arguments of a trigger: the mapped table; `keys` or `rows`; the limit of rows; the
 * columns that are stored, as a JSON array, `null` for all.
 *
 * A stored value is `=` and its text, NULL, or empty if it is too large.
 *
 * @param outbox the quoted name of the outbox table
 * @internal
 */
export function captureBody(outbox: string): string {
  return `
DECLARE
  mapped constant text := TG_ARGV[0];
  bulk constant bigint := TG_ARGV[2];
  wanted constant jsonb := TG_ARGV[3];
  source text;
  expression text;
  described text;
  found bigint;
  size bigint;
  stored text;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO ${outbox} (mapped, kind) VALUES (mapped, 'truncate');
    RETURN NULL;
  END IF;
  source := format(CASE TG_OP
    WHEN 'INSERT' THEN '(SELECT * FROM ${TRANSITION_TABLES.new} LIMIT %1$s)'
    WHEN 'DELETE' THEN '(SELECT * FROM ${TRANSITION_TABLES.old} LIMIT %1$s)'
    ELSE '(SELECT * FROM ${TRANSITION_TABLES.old} LIMIT %1$s) UNION ALL (SELECT * FROM ${TRANSITION_TABLES.new} LIMIT %1$s)'
  END, bulk + 1);

  IF TG_ARGV[1] = 'keys' THEN
    SELECT string_agg(format('format(''%%s'', r.%I)', a.attname), ' || '':'' || ' ORDER BY k.place)
      INTO expression
      FROM pg_index i
      CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
      WHERE i.indrelid = to_regclass(format('%I.%I', split_part(mapped, '.', 1), split_part(mapped, '.', 2)))
        AND i.indisprimary AND k.place <= i.indnkeyatts;
    EXECUTE format(
      'SELECT sum(n), json_agg(id ORDER BY id)::text FROM (SELECT %s AS id, count(*) AS n FROM (%s) r GROUP BY 1) k',
      coalesce(expression, 'NULL::text'), source) INTO found, stored;
    size := json_array_length(stored::json);
    IF TG_OP = 'UPDATE' THEN
      found := (found + 1) / 2;
    END IF;
    found := greatest(found, size);
    IF found > 0 THEN
      INSERT INTO ${outbox} (mapped, kind, content) VALUES (
        mapped,
        CASE WHEN expression IS NULL THEN 'columns' WHEN found > bulk THEN 'bulk' ELSE 'keys' END,
        CASE WHEN expression IS NOT NULL AND found <= bulk THEN stored END);
    END IF;
    RETURN NULL;
  END IF;

  SELECT
      string_agg(format(
        'CASE WHEN num_nulls(r.%1$I) = 1 THEN NULL WHEN pg_column_size(r.%1$I) > ${MAX_VALUE_BYTES} THEN '''' ELSE ''='' || format(''%%s'', r.%1$I) END',
        a.attname), ', ' ORDER BY a.attnum),
      json_agg(json_build_array(a.attname, a.atttypid::bigint) ORDER BY a.attnum)::text
    INTO expression, described
    FROM pg_attribute a
    WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated IN ('', 's')
      AND (wanted IS NULL OR wanted = 'null' OR wanted ? a.attname::text);
  EXECUTE format(
    'SELECT count(*), max(total), string_agg(image, '','') FILTER (WHERE total <= ${MAX_CONTENT_BYTES})
     FROM (SELECT image, sum(octet_length(image)) OVER (ROWS UNBOUNDED PRECEDING) AS total
       FROM (SELECT to_json(ARRAY[%s]::text[])::text AS image FROM (%s) r) i) t',
    coalesce(expression, ''), source) INTO found, size, stored;
  IF TG_OP = 'UPDATE' THEN
    found := (found + 1) / 2;
  END IF;
  IF found > bulk OR size > ${MAX_CONTENT_BYTES} THEN
    INSERT INTO ${outbox} (mapped, kind) VALUES (mapped, 'bulk');
  ELSIF found > 0 THEN
    INSERT INTO ${outbox} (mapped, kind, content)
      VALUES (mapped, 'rows', format('{"columns":%s,"rows":[%s]}', coalesce(described, '[]'), stored));
  END IF;
  RETURN NULL;
END;
`;
}
