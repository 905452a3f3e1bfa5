SELECT item, answer FROM {exam_answers} WHERE exam_id = $1
