INSERT INTO {bank_categories} (instrument, version, place, category, name, questions)
{rows}
