INSERT INTO {exam_results} (exam_id, tenths, band, rushed, inconsistent, compound, sentiment_score, sentiment_label)
{rows}
