DELETE FROM {exam_category_results} WHERE exam_id IN ({rows})
