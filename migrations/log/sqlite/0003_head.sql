-- The last event is the head.
ALTER TABLE head DROP COLUMN position;
ALTER TABLE head DROP COLUMN recorded_at;
