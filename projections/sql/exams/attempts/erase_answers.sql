DELETE FROM {exam_answers} WHERE exam_id IN ({rows})
