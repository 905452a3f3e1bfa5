-- The answer says when events were recorded, so that who appends them knows them as they stand in the log. The same
-- function otherwise, replaced in one piece: older binaries call it as before.
-- One statement for many commands: take the turn, judge on committed rows, number and insert what passed. Losers
-- never abort winners; the turn never spans a client round trip.
--
-- c_: one a command; c_first and c_count say which events are its. e_: one an event, e_command is the number of its
-- command, from 1. i_: one a command id. k_: one a change of a claim: 0 take, 1 release, 2 release at a time, 3 erase
-- the subject.
--
-- Where every command is appended, which is the rule, the answer is one row with command 0, the position before the
-- first event and, as its sequence, when they were recorded, in microseconds since 1970. Otherwise it is one row a command, in order, with its last event's position and sequence. Verdicts:
-- 0 appended · 1 appended by an earlier try of the same batch · 2 command id known, same request · 3 command id
-- known, other request · 4 subject erased · 5 sequence conflict · 6 claim taken.
--
-- Rows are looked up one by one, by scalar subqueries: before a table's first statistics a join would read all of it,
-- and so would EXISTS, which may be planned as a hash.
CREATE OR REPLACE FUNCTION append(
    c_type text[], c_id text[], c_expected bigint[], c_subject uuid[], c_erasing boolean[], c_first integer[],
    c_count integer[], c_correlation uuid[], c_causation uuid[], c_actor text[],
    e_command integer[], e_sequence bigint[], e_type text[], e_version text[], e_payload text[], e_metadata text[],
    e_id uuid[], e_hash bytea[],
    i_command integer[], i_key bytea[], i_request bytea[], i_outcome text[], i_expires timestamptz[],
    k_command integer[], k_scope text[], k_value bytea[], k_change smallint[], k_until timestamptz[]
) RETURNS TABLE (command integer, verdict smallint, last_position bigint, last_sequence bigint, detail text, holder text)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_commands CONSTANT integer := cardinality(c_id);
    v_position bigint;
    v_now      timestamptz;
    v_doubt    boolean;
    v_verdicts smallint[]; -- by command, where there is doubt
    v_refused  integer[];  -- by command: how many events before its own are not appended
BEGIN
    -- a statement of its own: the next one sees what whoever had the turn before has committed
    PERFORM pg_advisory_xact_lock(x'536f756c4c6f67'::bigint);

    SELECT e.position, e.recorded_at INTO v_position, v_now FROM events e ORDER BY e.position DESC LIMIT 1;
    v_position := coalesce(v_position, 0);
    v_now := greatest(v_now, date_trunc('microseconds', clock_timestamp()));

    v_doubt := EXISTS (
        SELECT FROM generate_series(1, v_commands) AS n
         WHERE c_expected[n] <> coalesce((SELECT max(e.sequence) FROM events e
                                           WHERE e.aggregate_type = c_type[n] AND e.aggregate_id = c_id[n]), 0)
            OR (SELECT NOT c_erasing[n] FROM claims x
                 WHERE x.scope = 'erased' AND x.value = uuid_send(c_subject[n])));
    IF NOT v_doubt AND cardinality(i_command) > 0 THEN
        v_doubt := EXISTS (SELECT FROM unnest(i_key) AS i (key)
                            WHERE (SELECT true FROM command_ids x WHERE x.key = i.key));
    END IF;
    IF NOT v_doubt AND cardinality(k_command) > 0 THEN
        v_doubt := EXISTS (SELECT FROM unnest(k_scope, k_value, k_change) AS k (scope, value, change)
                            WHERE k.change = 0
                              AND (SELECT true FROM claims x WHERE x.scope = k.scope AND x.value = k.value));
    END IF;

    IF v_doubt THEN
        SELECT array_agg(j.verdict ORDER BY j.n),
               array_agg(j.upto - CASE WHEN j.verdict = 0 THEN 0 ELSE c_count[j.n] END ORDER BY j.n)
          INTO v_verdicts, v_refused
          FROM (
            SELECT v.n, v.verdict,
                   sum(CASE WHEN v.verdict = 0 THEN 0 ELSE c_count[v.n] END) OVER (ORDER BY v.n)::integer AS upto
              FROM (
                SELECT c.n,
                       (CASE
                          WHEN c.last > c.expected AND (
                              SELECT e.event_id = e_id[c_first[c.n]] FROM events e
                               WHERE e.aggregate_type = c.type AND e.aggregate_id = c.id
                                 AND e.sequence = c.expected + 1) THEN 1
                          WHEN c.known IS NOT NULL THEN CASE WHEN c.known = c.request THEN 2 ELSE 3 END
                          WHEN NOT c.erasing AND (
                              SELECT true FROM claims x
                               WHERE x.scope = 'erased' AND x.value = uuid_send(c.subject)) THEN 4
                          WHEN c.last <> c.expected THEN 5
                          WHEN EXISTS (
                              SELECT FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
                               WHERE k.command = c.n AND k.change = 0
                                 AND (SELECT (x.aggregate_type <> c.type OR x.aggregate_id <> c.id)
                                             AND (x.until IS NULL OR x.until > v_now)
                                        FROM claims x WHERE x.scope = k.scope AND x.value = k.value)) THEN 6
                          ELSE 0
                        END)::smallint AS verdict
                  FROM (
                    SELECT u.n, u.type, u.id, u.expected, u.subject, u.erasing, i.request,
                           (SELECT x.request FROM command_ids x
                             WHERE x.key = i.key AND (x.expires_at IS NULL OR x.expires_at > v_now)) AS known,
                           coalesce((SELECT max(e.sequence) FROM events e
                                      WHERE e.aggregate_type = u.type AND e.aggregate_id = u.id), 0) AS last
                      FROM unnest(c_type, c_id, c_expected, c_subject, c_erasing)
                           WITH ORDINALITY AS u (type, id, expected, subject, erasing, n)
                      LEFT JOIN unnest(i_command, i_key, i_request) AS i (command, key, request) ON i.command = u.n
                    OFFSET 0 -- keeps the look-ups above from being repeated wherever their results are named
                  ) c
              ) v
          ) j;
    END IF;

    INSERT INTO events (
        aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
        position, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash)
    SELECT c_type[e_command[n]], c_id[e_command[n]], e_sequence[n], e_type[n], e_version[n], e_payload[n]::json,
           e_metadata[n]::json, v_position + n - coalesce(v_refused[e_command[n]], 0), e_id[n], v_now,
           c_correlation[e_command[n]], c_causation[e_command[n]], c_actor[e_command[n]], c_subject[e_command[n]],
           e_hash[n]
      FROM generate_series(1, cardinality(e_id)) AS n
     WHERE v_verdicts IS NULL OR v_verdicts[e_command[n]] = 0;

    IF cardinality(i_command) > 0 THEN
        INSERT INTO command_ids AS i (key, request, outcome, sequence, position, expires_at)
        SELECT u.key, u.request, u.outcome, c_expected[u.command] + c_count[u.command],
               v_position + c_first[u.command] + c_count[u.command] - 1 - coalesce(v_refused[u.command], 0), u.expires
          FROM unnest(i_command, i_key, i_request, i_outcome, i_expires) AS u (command, key, request, outcome, expires)
         WHERE v_verdicts IS NULL OR v_verdicts[u.command] = 0
        ON CONFLICT (key) DO UPDATE
           SET request = excluded.request, outcome = excluded.outcome, sequence = excluded.sequence,
               position = excluded.position, expires_at = excluded.expires_at;
    END IF;

    IF cardinality(k_command) > 0 THEN
        DELETE FROM claims x
         USING unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
         WHERE k.change = 1 AND (v_verdicts IS NULL OR v_verdicts[k.command] = 0)
           AND x.scope = k.scope AND x.value = k.value
           AND x.aggregate_type = c_type[k.command] AND x.aggregate_id = c_id[k.command];
        UPDATE claims x SET until = k.until
          FROM unnest(k_command, k_scope, k_value, k_change, k_until) AS k (command, scope, value, change, until)
         WHERE k.change = 2 AND (v_verdicts IS NULL OR v_verdicts[k.command] = 0)
           AND x.scope = k.scope AND x.value = k.value
           AND x.aggregate_type = c_type[k.command] AND x.aggregate_id = c_id[k.command];
        INSERT INTO claims AS x (scope, value, aggregate_type, aggregate_id)
        SELECT k.scope, k.value, c_type[k.command], c_id[k.command]
          FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
         WHERE k.change IN (0, 3) AND (v_verdicts IS NULL OR v_verdicts[k.command] = 0)
        ON CONFLICT (scope, value) DO UPDATE
           SET aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id, until = NULL
         WHERE x.scope <> 'erased';
    END IF;

    IF NOT v_doubt THEN
        command := 0;
        verdict := 0;
        last_position := v_position;
        last_sequence := (extract(epoch FROM v_now) * 1000000)::bigint;
        RETURN NEXT;
        RETURN;
    END IF;

    RETURN QUERY
    SELECT u.n::integer, u.verdict,
           CASE u.verdict
               WHEN 0 THEN v_position + u.first + u.count - 1 - u.refused
               WHEN 1 THEN (SELECT e.position FROM events e WHERE e.aggregate_type = u.type
                               AND e.aggregate_id = u.id AND e.sequence = u.expected + u.count)
               WHEN 2 THEN x.position
           END,
           CASE u.verdict WHEN 2 THEN x.sequence ELSE u.expected + u.count END,
           CASE u.verdict WHEN 2 THEN x.outcome WHEN 6 THEN t.scope END,
           t.holder
      FROM unnest(v_verdicts, v_refused, c_type, c_id, c_expected, c_first, c_count)
           WITH ORDINALITY AS u (verdict, refused, type, id, expected, first, count, n)
      LEFT JOIN unnest(i_command, i_key) AS i (command, key) ON i.command = u.n
      LEFT JOIN LATERAL (
          SELECT * FROM command_ids x WHERE u.verdict = 2 AND x.key = i.key OFFSET 0) x ON true
      LEFT JOIN LATERAL (
          SELECT k.scope, y.aggregate_id AS holder
            FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
           CROSS JOIN LATERAL (
                SELECT * FROM claims y WHERE y.scope = k.scope AND y.value = k.value OFFSET 0) y
           WHERE u.verdict = 6 AND k.command = u.n AND k.change = 0
             AND (y.aggregate_type <> u.type OR y.aggregate_id <> u.id)
             AND (y.until IS NULL OR y.until > v_now)
           LIMIT 1) t ON true
     ORDER BY u.n;
END $$;
