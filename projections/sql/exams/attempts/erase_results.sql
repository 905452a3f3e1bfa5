DELETE FROM {exam_results} WHERE exam_id IN ({rows})
