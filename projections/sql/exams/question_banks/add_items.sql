INSERT INTO {bank_items} (instrument, version, place, item, category, body, tooltip, min_age, max_age)
{rows}
