-- A new key need not be on the disk by itself: whatever is sealed with it is committed later, in this same
-- database and therefore in the same write-ahead log, and that commit takes the key to the disk with it. After
-- a crash before that, key and sealed words are both gone.
CREATE FUNCTION durable_with_the_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN NULL;
END $$;

CREATE TRIGGER durable_with_the_event BEFORE INSERT ON data_keys
    EXECUTE FUNCTION durable_with_the_event();
