-- Written with unqualified names: the migrator runs with this home's schema as its search path.

CREATE TABLE head (
    id          SMALLINT    PRIMARY KEY CHECK (id = 1),
    log_id      UUID        NOT NULL,
    position    BIGINT      NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 10);

INSERT INTO head VALUES (1, gen_random_uuid(), 0, 'epoch');

-- The seven cqrs-es columns, then ours. json, not jsonb: stored bytes are hashed bytes.
CREATE TABLE events (
    aggregate_type TEXT        NOT NULL,
    aggregate_id   TEXT        NOT NULL,
    sequence       BIGINT      NOT NULL CHECK (sequence >= 1),
    event_type     TEXT        NOT NULL,
    event_version  TEXT        NOT NULL,
    payload        JSON        NOT NULL,
    metadata       JSON        NOT NULL,
    position       BIGINT      NOT NULL CHECK (position >= 1),
    event_id       UUID        NOT NULL,
    recorded_at    TIMESTAMPTZ NOT NULL,
    correlation_id UUID        NOT NULL,
    causation_id   UUID,
    actor_id       TEXT        NOT NULL,
    subject_id     UUID,
    content_hash   BYTEA       NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

CREATE UNIQUE INDEX events_position ON events (position);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER events_are_immutable BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_are_never_truncated BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One statement for many commands: lock the head, judge each command on committed rows, insert what
-- passed, advance the head. Losers never abort winners; the lock never spans a client round trip.
--
-- Verdicts: 0 appended · 1 appended by an earlier try of the same batch · 2 command id known, same request
-- · 3 command id known, other request · 4 subject erased · 5 sequence conflict · 6 claim taken.
-- Claim changes: 0 take · 1 release · 2 release at a time · 3 erase the subject.
CREATE FUNCTION append(
    c_type text[], c_id text[], c_expected bigint[], c_subject uuid[], c_erasing boolean[],
    c_count bigint[], c_first_event uuid[], c_claims bigint[],
    c_key bytea[], c_request bytea[], c_outcome text[], c_expires timestamptz[],
    e_command integer[], e_aggregate_type text[], e_aggregate_id text[], e_sequence bigint[],
    e_type text[], e_version text[], e_payload text[], e_metadata text[], e_id uuid[],
    e_correlation uuid[], e_causation uuid[], e_actor text[], e_subject uuid[], e_hash bytea[],
    k_command integer[], k_scope text[], k_value bytea[], k_change smallint[], k_until timestamptz[]
) RETURNS TABLE (verdict smallint, last_position bigint, last_sequence bigint, detail text, holder text)
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    v_position  bigint;
    v_now       timestamptz;
    v_verdicts  smallint[];
    v_positions bigint[];
    v_added     bigint;
BEGIN
    SELECT h.position, greatest(h.recorded_at, date_trunc('microseconds', clock_timestamp()))
      INTO v_position, v_now
      FROM head h WHERE h.id = 1 FOR UPDATE;

    SELECT array_agg(j.verdict ORDER BY j.ord) INTO v_verdicts
      FROM (
        SELECT c.ord,
               (CASE
                  WHEN c.last > c.expected AND EXISTS (
                      SELECT 1 FROM events e
                       WHERE e.aggregate_type = c.type AND e.aggregate_id = c.id
                         AND e.sequence = c.expected + 1 AND e.event_id = c.first_event) THEN 1
                  WHEN c.key IS NOT NULL AND c.known IS NOT NULL
                      THEN CASE WHEN c.known = c.request THEN 2 ELSE 3 END
                  WHEN c.subject IS NOT NULL AND NOT c.erasing AND EXISTS (
                      SELECT 1 FROM claims x
                       WHERE x.scope = 'erased' AND x.value = uuid_send(c.subject)) THEN 4
                  WHEN c.last <> c.expected THEN 5
                  WHEN c.claims > 0 AND EXISTS (
                      SELECT 1 FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
                        JOIN claims x ON x.scope = k.scope AND x.value = k.value
                       WHERE k.command = c.ord AND k.change = 0
                         AND (x.aggregate_type <> c.type OR x.aggregate_id <> c.id)
                         AND (x.until IS NULL OR x.until > v_now)) THEN 6
                  ELSE 0
                END)::smallint AS verdict
          FROM (
            SELECT u.*,
                   coalesce((SELECT max(e.sequence) FROM events e
                              WHERE e.aggregate_type = u.type AND e.aggregate_id = u.id), 0) AS last,
                   (SELECT i.request FROM command_ids i
                     WHERE i.key = u.key AND (i.expires_at IS NULL OR i.expires_at > v_now)) AS known
              FROM unnest(c_type, c_id, c_expected, c_subject, c_erasing, c_first_event, c_claims, c_key, c_request)
                   WITH ORDINALITY AS u (type, id, expected, subject, erasing, first_event, claims, key, request, ord)
            OFFSET 0 -- keeps the look-ups above from being repeated wherever their results are named
          ) c
      ) j;

    SELECT array_agg(v_position + p.upto ORDER BY p.ord), coalesce(max(p.upto), 0)
      INTO v_positions, v_added
      FROM (
        SELECT u.ord, sum(CASE WHEN u.verdict = 0 THEN u.count ELSE 0 END) OVER (ORDER BY u.ord)::bigint AS upto
          FROM unnest(v_verdicts, c_count) WITH ORDINALITY AS u (verdict, count, ord)
      ) p;

    IF v_added > 0 THEN
        INSERT INTO events (
            aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
            position, event_id, recorded_at, correlation_id, causation_id, actor_id, subject_id, content_hash)
        SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.type, e.version, e.payload::json, e.metadata::json,
               v_position + row_number() OVER (ORDER BY e.ord), e.id, v_now,
               e.correlation, e.causation, e.actor, e.subject, e.hash
          FROM unnest(e_command, e_aggregate_type, e_aggregate_id, e_sequence, e_type, e_version, e_payload,
                      e_metadata, e_id, e_correlation, e_causation, e_actor, e_subject, e_hash)
               WITH ORDINALITY AS e (command, aggregate_type, aggregate_id, sequence, type, version, payload,
                                     metadata, id, correlation, causation, actor, subject, hash, ord)
         WHERE v_verdicts[e.command] = 0;

        IF cardinality(k_command) > 0 THEN
            DELETE FROM claims x
             USING unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
             WHERE k.change = 1 AND v_verdicts[k.command] = 0
               AND x.scope = k.scope AND x.value = k.value
               AND x.aggregate_type = c_type[k.command] AND x.aggregate_id = c_id[k.command];
            UPDATE claims x SET until = k.until
              FROM unnest(k_command, k_scope, k_value, k_change, k_until) AS k (command, scope, value, change, until)
             WHERE k.change = 2 AND v_verdicts[k.command] = 0
               AND x.scope = k.scope AND x.value = k.value
               AND x.aggregate_type = c_type[k.command] AND x.aggregate_id = c_id[k.command];
            INSERT INTO claims AS x (scope, value, aggregate_type, aggregate_id)
            SELECT k.scope, k.value, c_type[k.command], c_id[k.command]
              FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
             WHERE k.change IN (0, 3) AND v_verdicts[k.command] = 0
            ON CONFLICT (scope, value) DO UPDATE
               SET aggregate_type = excluded.aggregate_type, aggregate_id = excluded.aggregate_id, until = NULL
             WHERE x.scope <> 'erased';
        END IF;

        IF cardinality(array_remove(c_key, NULL)) > 0 THEN
            INSERT INTO command_ids AS i (key, request, outcome, sequence, position, expires_at)
            SELECT u.key, u.request, u.outcome, u.expected + u.count, u.position, u.expires
              FROM unnest(v_verdicts, c_key, c_request, c_outcome, c_expected, c_count, v_positions, c_expires)
                   AS u (verdict, key, request, outcome, expected, count, position, expires)
             WHERE u.verdict = 0 AND u.key IS NOT NULL
            ON CONFLICT (key) DO UPDATE
               SET request = excluded.request, outcome = excluded.outcome, sequence = excluded.sequence,
                   position = excluded.position, expires_at = excluded.expires_at;
        END IF;

        UPDATE head SET position = v_position + v_added, recorded_at = v_now WHERE id = 1;
    END IF;

    IF 0 = ALL (v_verdicts) THEN
        RETURN QUERY
        SELECT u.verdict, u.position, u.expected + u.count, NULL::text, NULL::text
          FROM unnest(v_verdicts, v_positions, c_expected, c_count)
               WITH ORDINALITY AS u (verdict, position, expected, count, ord)
         ORDER BY u.ord;
        RETURN;
    END IF;

    RETURN QUERY
    SELECT u.verdict,
           CASE u.verdict
               WHEN 0 THEN u.position
               WHEN 1 THEN (SELECT e.position FROM events e WHERE e.aggregate_type = u.type
                               AND e.aggregate_id = u.id AND e.sequence = u.expected + u.count)
               WHEN 2 THEN (SELECT i.position FROM command_ids i WHERE i.key = u.key)
           END,
           CASE u.verdict
               WHEN 2 THEN (SELECT i.sequence FROM command_ids i WHERE i.key = u.key)
               ELSE u.expected + u.count
           END,
           CASE u.verdict
               WHEN 2 THEN (SELECT i.outcome FROM command_ids i WHERE i.key = u.key)
               WHEN 6 THEN t.scope
           END,
           t.holder
      FROM unnest(v_verdicts, c_type, c_id, c_expected, c_count, c_key, v_positions)
           WITH ORDINALITY AS u (verdict, type, id, expected, count, key, position, ord)
      LEFT JOIN LATERAL (
          SELECT k.scope, x.aggregate_id AS holder
            FROM unnest(k_command, k_scope, k_value, k_change) AS k (command, scope, value, change)
            JOIN claims x ON x.scope = k.scope AND x.value = k.value
           WHERE u.verdict = 6 AND k.command = u.ord AND k.change = 0
             AND (x.aggregate_type <> u.type OR x.aggregate_id <> u.id)
             AND (x.until IS NULL OR x.until > v_now)
           LIMIT 1) t ON true
     ORDER BY u.ord;
END $$;
