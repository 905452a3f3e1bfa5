DELETE FROM {exam_standings} WHERE exam_id IN ({rows})
