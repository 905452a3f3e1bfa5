INSERT INTO {state.jobs} (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
